//! Maps `PostgreSQL`'s error codes to [`RepoError`].

use kennel_core::RepoError;

/// Maps an error of `PostgreSQL`; see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn classify(error: sqlx::Error) -> RepoError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        // Broken connections, exhausted resources, an operator's intervention, writes to a replica, locked rows and
        // serialization failures: the same call can succeed later.
        Some("25006" | "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03") => {
            RepoError::Unavailable(error.into())
        }
        Some(code) if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => {
            RepoError::Unavailable(error.into())
        }
        Some("XX001" | "XX002") => RepoError::Corrupt(error.into()),
        // The peer is not (or no longer) a server, such as a proxy without a backend.
        None if matches!(error, sqlx::Error::Protocol(_)) => RepoError::Unavailable(error.into()),
        _ => crate::classify(error),
    }
}
