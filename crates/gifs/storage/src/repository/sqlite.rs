//! GIFs in SQLite.

use kennel_storage::sqlite::Sqlite;

use super::sql::sql_gifs;

/// The GIFs of a SQLite database.
pub(super) struct SqliteGifs(pub(super) Sqlite);

sql_gifs!(SqliteGifs, sqlx::Sqlite, sqlite, readers);
