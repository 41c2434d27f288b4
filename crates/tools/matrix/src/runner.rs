//! Runs one test program for Cargo: prints its failures and a summary, and records the outcome of each case.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use crate::output::{Case, Outcome, Output};
use crate::record::{self, Suite};

/// Argument with which a test program prints the output of passed tests too.
pub const SHOW_OUTPUT: &str = "--show-output";

/// Runs `program` and records its cases in the folder `records`. Returns the program's exit code.
pub fn run(records: &Path, program: &Path, arguments: &[OsString]) -> io::Result<ExitCode> {
    let mut command = Command::new(program);
    command.args(arguments);
    // rustdoc starts its tests through the runner too, and reports them itself.
    if !arguments.iter().any(|argument| argument == SHOW_OUTPUT) {
        return Ok(code(command.status()?));
    }
    let (started, mut child) = (Instant::now(), command.stdout(Stdio::piped()).spawn()?);
    let output = read_output(&mut child)?;
    let status = child.wait()?;
    for line in output.failures() {
        eprintln!("{line}");
    }
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let suite = Suite::new(&package, target(&file), output.cases_of_ended(status.success()));
    eprintln!("       {} in {:.1} s", summary(&suite.cases), started.elapsed().as_secs_f64());
    record::write(records, &file, &suite)?;
    Ok(code(status))
}

fn read_output(child: &mut Child) -> io::Result<Output> {
    let mut output = Output::default();
    let mut lines = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let mut line = Vec::new();
    // Programs that tests start may write bytes that are not UTF-8.
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let failed = output.read(text).is_some_and(|case| case.outcome == Outcome::Failed);
        if failed || (text.starts_with("test ") && text.ends_with(" has been running for over 60 seconds")) {
            eprintln!("       {text}");
        }
        line.clear();
    }
    Ok(output)
}

/// The name in `name-0123456789abcdef`.
fn target(file: &str) -> &str {
    file.rsplit_once('-').map_or(file, |(name, _)| name)
}

fn summary(cases: &[Case]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
    let passed = count(|outcome| *outcome == Outcome::Passed);
    let failed = count(|outcome| *outcome == Outcome::Failed);
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// The exit code as a shell reports it: 128 plus the signal's number for a program that a signal ended.
fn code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_name_has_no_hash() {
        assert_eq!(target("kafka_outages-0b7c43cdcff99f4e"), "kafka_outages");
        assert_eq!(target("plain"), "plain");
    }

    #[test]
    fn a_summary_counts_each_case_once() {
        let skipped = Outcome::Skipped("no server".to_owned());
        let ignored = Outcome::Ignored("no test".to_owned());
        let outcomes = [Outcome::Passed, Outcome::Failed, skipped.clone(), skipped, ignored, Outcome::Passed];
        let cases: Vec<_> = outcomes.into_iter().map(|outcome| Case::new("case", outcome)).collect();
        assert_eq!(summary(&cases), "2 passed, 1 failed, 2 skipped");
    }
}
