//! Maps driver errors to [`RepoError`].

use std::fmt;
use std::sync::Arc;

use kennel_core::RepoError;

/// Maps a driver error, as far as the mapping is the same for every database; each database's own `classify` also maps
/// its error codes.
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

/// A statement that checks whether a store accepts writes: it changes no row, but fails where a write would fail.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) const WRITE_PROBE: &str = "UPDATE outbox_lease SET expires_at = expires_at WHERE singleton = 0";

/// Whether the server refused a write because it is read-only: a replica, or a server in read-only mode. Nothing was
/// stored.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_read_only(error: &RepoError) -> bool {
    // SQLSTATE read_only_sql_transaction, also MySQL's 1792; MySQL has further error numbers for it under a generic
    // SQLSTATE.
    state(error).is_some_and(|state| state == "25006") || matches!(mysql_number(error), Some(1290 | 1836))
}

/// Whether the connection is lost: broken, ended by an operator, or closed by a server that shuts down. Other
/// connections of the pool may be lost too.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_lost(error: &RepoError) -> bool {
    let broken = matches!(driver(error), Some(sqlx::Error::Io(_)));
    broken
        || state(error).is_some_and(|state| matches!(&*state, "57P01" | "57P02" | "57P03"))
        || matches!(mysql_number(error), Some(1053 | 1927))
}

/// Whether the server aborted the transaction because of a deadlock or a serialization failure. Nothing was stored, and
/// the call can be retried.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn is_deadlock(error: &RepoError) -> bool {
    // SQLSTATE serialization_failure, also MySQL's deadlock, and PostgreSQL's deadlock_detected.
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

/// The SQLSTATE of an error that the server returned.
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

/// The kind of an error, as a metric label.
pub const fn label(error: &RepoError) -> &'static str {
    match error {
        RepoError::Conflict => "conflict",
        RepoError::Unavailable(_) => "unavailable",
        RepoError::Corrupt(_) => "corrupt",
        _ => "backend",
    }
}

/// An error that several calls share.
#[derive(Debug, Clone)]
pub(crate) struct SharedError(Arc<RepoError>);

impl SharedError {
    pub(crate) fn new(error: RepoError) -> Self {
        Self(Arc::new(error))
    }

    /// The shared error as the error of one call.
    pub(crate) fn to_error(&self) -> RepoError {
        let cause = Box::new(self.clone());
        match &*self.0 {
            RepoError::Conflict => RepoError::Conflict,
            RepoError::Unavailable(_) => RepoError::Unavailable(cause),
            RepoError::Corrupt(_) => RepoError::Corrupt(cause),
            _ => RepoError::Backend(cause),
        }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the batch of this call failed")
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
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
    fn unreadable_values_are_corrupt_and_other_errors_are_backend() {
        assert!(matches!(classify(sqlx::Error::Decode("odd".into())), RepoError::Corrupt(_)));
        assert!(matches!(classify(sqlx::Error::RowNotFound), RepoError::Backend(_)));
    }

    #[test]
    fn a_shared_error_keeps_its_class_and_cause() {
        let shared = SharedError::new(RepoError::Backend("no table".into()));
        for error in [shared.to_error(), shared.to_error()] {
            assert!(matches!(error, RepoError::Backend(_)));
            let group = std::error::Error::source(&error).unwrap();
            assert!(group.source().unwrap().to_string().contains("no table"));
        }
    }
}
