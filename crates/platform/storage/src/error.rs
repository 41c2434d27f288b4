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

/// The statement by which stores are asked whether they take writes: it changes no row, and is refused as those are that
/// do.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) const TRY_WRITE: &str = "UPDATE outbox_lease SET until = until WHERE one = 0";

/// Whether the connection leads to a server that does not write: a replica, or one that was made read-only. Nothing of
/// the call is stored.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_read_only(error: &RepoError) -> bool {
    // SQLSTATE read_only_sql_transaction, which is MySQL's 1792 too; MySQL has more of them, under a common state.
    state(error).is_some_and(|state| state == "25006") || matches!(mysql_number(error), Some(1290 | 1836))
}

/// Whether the connection is lost: broken, ended by an operator, or with the server that stops. Those that were opened
/// with it may be so too.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_lost(error: &RepoError) -> bool {
    let broken = matches!(driver(error), Some(sqlx::Error::Io(_)));
    broken
        || state(error).is_some_and(|state| matches!(&*state, "57P01" | "57P02" | "57P03"))
        || matches!(mysql_number(error), Some(1053 | 1927))
}

/// Whether the server gave the call up to end a deadlock, or because it came between others: the same call may be made
/// again, and nothing of it is stored.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_deadlock(error: &RepoError) -> bool {
    // SQLSTATE serialization_failure, which is MySQL's deadlock too, and PostgreSQL's deadlock_detected.
    state(error).is_some_and(|state| state == "40001" || state == "40P01")
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn driver(error: &RepoError) -> Option<&sqlx::Error> {
    let RepoError::Unavailable(source) = error else { return None };
    source.downcast_ref()
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn from_server(error: &RepoError) -> Option<&dyn sqlx::error::DatabaseError> {
    driver(error)?.as_database_error()
}

/// The SQLSTATE of an error that the server answered with.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn state(error: &RepoError) -> Option<std::borrow::Cow<'_, str>> {
    from_server(error)?.code()
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn mysql_number(error: &RepoError) -> Option<u16> {
    #[cfg(feature = "mysql")]
    return Some(from_server(error)?.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?.number());
    #[cfg(not(feature = "mysql"))]
    return from_server(error).and(None);
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
