//! The `dogs` program: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;
use dogs::cli::{self, args::Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            let code = if help.use_stderr() { kennel_config::EX_USAGE } else { 0 };
            // A closed terminal cannot be reported anywhere.
            drop(help.print());
            return ExitCode::from(code);
        }
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(cli));
            // Tasks that hang past the deadline must not block the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}
