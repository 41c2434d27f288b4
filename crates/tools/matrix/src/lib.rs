//! Runs `cargo test` and prints a pass/fail table: per backend, how many cases passed, failed and were skipped.
//!
//! Cargo starts each test program through this program (a `runner`), which records the outcome of each case.

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

/// Argument with which Cargo starts this program as the runner of a test program.
pub const RUNNER: &str = "--runner";
/// Environment variable for the number of tests that run concurrently.
const THREADS: &str = "RUST_TEST_THREADS";
/// Minimum number of concurrent tests: tests spend more time waiting for servers than computing.
const MIN_THREADS: usize = 6;

/// Runs `cargo test` with `arguments` and returns the outcome of each case. `records` is an empty temporary folder.
pub fn run(records: &Path, arguments: &[OsString]) -> io::Result<(ExitStatus, Vec<Suite>)> {
    let mut child = cargo(records, arguments)?.stdout(Stdio::piped()).spawn()?;
    // The runner captures the output of test programs; what remains is the output of documentation tests.
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
    let cargo_count = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        // `cargo run` sets these; build scripts that depend on them would run again.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        command.env(THREADS, cores.max(MIN_THREADS).to_string());
    }
    let (own, records) = (std::env::current_exe()?, records.to_string_lossy());
    let runner = format!("target.'cfg(all())'.runner=[{:?}, {RUNNER:?}, {records:?}]", own.to_string_lossy());
    command.args(["test", "--no-fail-fast", "--config", &runner]).args(&arguments[..cargo_count]);
    command.args(["--", runner::SHOW_OUTPUT]).args(arguments.iter().skip(cargo_count + 1));
    Ok(command)
}
