//! GIFs in SQLite.

use kennel_storage::sqlite::Sqlite;

use super::sql::sql_gifs;

/// The GIFs of a SQLite database.
pub(super) struct SqliteGifs(pub(super) Sqlite);

impl SqliteGifs {
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

sql_gifs!(SqliteGifs, sqlx::Sqlite, sqlite);
