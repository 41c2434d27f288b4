//! Maps SQLite's result codes to [`RepoError`].

use kennel_core::RepoError;

/// Maps an error of SQLite.
pub fn classify(error: sqlx::Error) -> RepoError {
    match primary_code(&error) {
        // PERM, BUSY, LOCKED, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL: the file, its disk or another
        // process blocks the call, and the same call can succeed later.
        Some(3 | 5 | 6 | 8 | 9 | 10 | 13 | 14 | 15) => RepoError::Unavailable(error.into()),
        // CORRUPT, NOTADB
        Some(11 | 26) => RepoError::Corrupt(error.into()),
        _ => crate::classify(error),
    }
}

/// The low byte of the extended result code; see <https://www.sqlite.org/rescode.html>.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether the connection cannot write, for example because it was opened while the file was read-only.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(8)
}

/// Whether another connection kept a lock for longer than the busy timeout.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(5 | 6))
}
