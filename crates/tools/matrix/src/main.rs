//! `kennel-matrix TABLE [ARGUMENTS OF CARGO TEST]`: runs the tests and prints a pass/fail table per backend.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use kennel_matrix::report::Report;
use kennel_matrix::table::Table;
use kennel_matrix::{RUNNER, runner};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, records, program, rest @ ..] if first == RUNNER => {
            runner::run(Path::new(records), Path::new(program), rest)
        }
        [table, rest @ ..] if !table.to_string_lossy().starts_with('-') => matrix(Path::new(table), rest),
        _ => {
            eprintln!("usage: kennel-matrix TABLE [ARGUMENTS OF CARGO TEST]");
            return ExitCode::from(64);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn matrix(table: &Path, arguments: &[OsString]) -> io::Result<ExitCode> {
    let text = std::fs::read_to_string(table)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", table.display())))?;
    let table = Table::parse(&text).map_err(io::Error::other)?;
    let records = std::env::temp_dir().join(format!("kennel-matrix-{}", std::process::id()));
    std::fs::create_dir(&records)?;
    let ran = kennel_matrix::run(&records, arguments);
    std::fs::remove_dir_all(&records)?;
    let (status, suites) = ran?;
    let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
    let report = Report::new(&table, &suites, &required);
    write!(io::stdout(), "\n{report}")?;
    if !status.success() {
        eprintln!("cargo test failed: {status}");
    }
    let good = status.success() && report.problems.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
