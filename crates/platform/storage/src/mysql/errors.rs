//! Maps MySQL's error numbers to [`RepoError`].

use kennel_core::RepoError;
use sqlx::mysql::MySqlDatabaseError;

/// Maps an error of MySQL or `MariaDB`; see <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>
/// and <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
pub fn classify(error: sqlx::Error) -> RepoError {
    match number(&error) {
        // Too many connections, shutdown, a full disk or table, locks and deadlocks, a broken connection, a read-only
        // server, killed statements and connections: the same call can succeed later.
        Some(
            1021
            | 1040
            | 1041
            | 1053
            | 1114
            | 1152
            | 1158..=1161
            | 1184
            | 1203
            | 1205
            | 1213
            | 1226
            | 1290
            | 1317
            | 1792
            | 1836
            | 1927
            | 1969
            | 3024,
        ) => RepoError::Unavailable(error.into()),
        // Damaged files, tables and indexes.
        Some(1034 | 1035 | 1194 | 1195 | 1712) => RepoError::Corrupt(error.into()),
        // The peer is not (or no longer) a server, such as a proxy without a backend.
        None if matches!(error, sqlx::Error::Protocol(_)) => RepoError::Unavailable(error.into()),
        _ => crate::classify(error),
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}
