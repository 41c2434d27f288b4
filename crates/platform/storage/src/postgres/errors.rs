//! Sorts `PostgreSQL`'s error codes.

use kennel_core::RepoError;

/// The class of an error of `PostgreSQL`'s; see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn classify(error: sqlx::Error) -> RepoError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        // Broken connections, exhausted resources and an operator's intervention, and writes to a replica, to rows that
        // are locked, or against others: the same call works once that is over.
        Some("25006" | "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03") => {
            RepoError::Unavailable(error.into())
        }
        Some(code) if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => {
            RepoError::Unavailable(error.into())
        }
        Some("XX001" | "XX002") => RepoError::Corrupt(error.into()),
        // What answers is no server, or no longer: a proxy that is on its own.
        None if matches!(error, sqlx::Error::Protocol(_)) => RepoError::Unavailable(error.into()),
        _ => crate::classify(error),
    }
}
