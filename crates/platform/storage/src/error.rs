//! Sorts driver errors into the classes that the domain understands.

use kennel_core::RepoError;

/// The class of a driver error, as far as it is the same for every database; each database's own `classify` knows more.
pub fn classify(error: sqlx::Error) -> RepoError {
    use sqlx::Error as E;
    match &error {
        E::Database(database) if database.is_unique_violation() => RepoError::Conflict,
        E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::Tls(_) | E::WorkerCrashed => {
            RepoError::Unavailable(error.into())
        }
        E::ColumnDecode { .. } | E::ColumnNotFound(_) | E::Decode(_) => RepoError::Corrupt(error.into()),
        _ => RepoError::Backend(error.into()),
    }
}

/// Whether the server gave the call up to end a deadlock, or because it came between others: the same call may be made
/// again, and nothing of it is stored.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_deadlock(error: &RepoError) -> bool {
    let RepoError::Unavailable(source) = error else { return false };
    let database = source.downcast_ref().and_then(sqlx::Error::as_database_error);
    let state = database.and_then(sqlx::error::DatabaseError::code);
    // SQLSTATE serialization_failure, which is MySQL's deadlock too, and PostgreSQL's deadlock_detected.
    state.is_some_and(|state| state == "40001" || state == "40P01")
}

/// The class of a failure, as a metric label.
pub const fn label(error: &RepoError) -> &'static str {
    match error {
        RepoError::Conflict => "conflict",
        RepoError::Unavailable(_) => "unavailable",
        RepoError::Corrupt(_) => "corrupt",
        _ => "backend",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_or_closed_pool_is_unavailable() {
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, sqlx::Error::WorkerCrashed] {
            assert!(matches!(classify(error), RepoError::Unavailable(_)));
        }
    }

    #[test]
    fn unreadable_values_are_corrupt_and_the_rest_is_the_backend() {
        assert!(matches!(classify(sqlx::Error::Decode("odd".into())), RepoError::Corrupt(_)));
        assert!(matches!(classify(sqlx::Error::RowNotFound), RepoError::Backend(_)));
    }
}
