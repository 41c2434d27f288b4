//! Runs `cargo test` and tells, for each backend of a table, how many cases passed, failed and were skipped.
//!
//! Cargo starts each test program through this one (a `runner`), which writes down what became of each case.

pub mod output;
pub mod record;
pub mod report;
pub mod runner;
pub mod table;

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use output::Output;
use record::Suite;

/// The argument by which Cargo starts this program as the runner of a test program.
pub const RUNNER: &str = "--runner";
/// How many tests of a program run at once.
const THREADS: &str = "RUST_TEST_THREADS";
/// So many at least: tests wait for servers more than they compute.
const AT_ONCE: usize = 6;

/// Runs `cargo test` with `arguments`, and reads what became of each case. `records` is an empty folder for the meantime.
pub fn run(records: &Path, arguments: &[OsString]) -> io::Result<(ExitStatus, Vec<Suite>)> {
    let mut child = cargo(records, arguments)?.stdout(Stdio::piped()).spawn()?;
    // Test programs talk to the runner, so what is left is what documentation tests say.
    let mut documentation = Output::default();
    for line in BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines() {
        let line = line?;
        documentation.read(&line);
        writeln!(io::stdout(), "{line}")?;
    }
    let status = child.wait()?;
    let mut suites = record::read(records)?;
    suites.push(Suite::new("documentation", "", documentation.cases()));
    Ok((status, suites))
}

fn cargo(records: &Path, arguments: &[OsString]) -> io::Result<Command> {
    let of_tests = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        // Those of `cargo run`: build scripts that look at them would run again.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        command.env(THREADS, cores.max(AT_ONCE).to_string());
    }
    let (own, records) = (std::env::current_exe()?, records.to_string_lossy());
    let runner = format!("target.'cfg(all())'.runner=[{:?}, {RUNNER:?}, {records:?}]", own.to_string_lossy());
    command.args(["test", "--no-fail-fast", "--config", &runner]).args(&arguments[..of_tests]);
    command.args(["--", runner::SHOW_OUTPUT]).args(arguments.iter().skip(of_tests + 1));
    Ok(command)
}
