//! Standard output, which a reader such as `head` may close early.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// Writes a line. Fails when the reader has closed standard output, which is not a failure of a command: return the error.
pub fn print_line(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Whether the error is a closed standard output, which is not a failure of the command.
fn is_closed(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| match cause.downcast_ref::<serde_json::Error>() {
        Some(json) => json.io_error_kind() == Some(ErrorKind::BrokenPipe),
        None => cause.downcast_ref::<io::Error>().is_some_and(is_pipe),
    })
}

/// Writes a text with one newline at its end. Reports an error on standard error.
pub(crate) fn print_text(text: &str) -> ExitCode {
    match print_line(text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Reports the result of a command, an error on standard error.
pub(crate) fn exit_code(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
