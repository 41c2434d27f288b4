//! Blobs in SQLite.

use kennel_storage::sqlite::Sqlite;

use super::sql::sql_blobs;

/// The blobs of a SQLite database.
pub(super) struct SqliteBlobs(pub(super) Sqlite);

/// Inserts a blob; one that is stored already stays as it is.
const INSERT_BLOB: [&str; 2] =
    ["INSERT INTO blobs (sha256, blob, created_at) VALUES (", ") ON CONFLICT (sha256) DO NOTHING"];

sql_blobs!(SqliteBlobs, sqlx::Sqlite, sqlite, readers);
