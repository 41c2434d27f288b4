//! Standard output, which a reader such as `head` may close early.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Writes a line.
pub(super) fn print_line(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Whether the error is a closed standard output, which is not a failure of the command.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| match cause.downcast_ref::<serde_json::Error>() {
        Some(json) => json.io_error_kind() == Some(ErrorKind::BrokenPipe),
        None => cause.downcast_ref::<io::Error>().is_some_and(is_pipe),
    })
}
