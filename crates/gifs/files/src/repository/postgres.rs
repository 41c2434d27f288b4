//! Blobs in `PostgreSQL`.

use kennel_storage::postgres::Postgres;

use super::sql::sql_blobs;

/// The blobs of a `PostgreSQL` database.
pub(super) struct PostgresBlobs(pub(super) Postgres);

/// Inserts a blob; one that is stored already stays as it is.
const INSERT_BLOB: [&str; 2] =
    ["INSERT INTO blobs (sha256, blob, created_at) VALUES (", ") ON CONFLICT (sha256) DO NOTHING"];

sql_blobs!(PostgresBlobs, sqlx::Postgres, postgres, single);
