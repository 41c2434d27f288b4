//! Candles in SQLite.

use kennel_storage::sqlite::Sqlite;

use super::sql::sql_candles;
use super::statements::UPSERT;

/// The candles of a SQLite database.
pub(super) struct SqliteCandles(pub(super) Sqlite);

impl SqliteCandles {
    fn reader(&self) -> &sqlx::SqlitePool {
        self.0.readers()
    }

    async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        call().await
    }
}

sql_candles!(SqliteCandles, sqlx::Sqlite, sqlite, UPSERT);
