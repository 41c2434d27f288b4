//! Blobs in MySQL.

use kennel_storage::mysql::Mysql;

use super::sql::sql_blobs;

/// The blobs of a MySQL database.
pub(super) struct MysqlBlobs(pub(super) Mysql);

/// Inserts a blob; one that is stored already stays as it is.
const INSERT_BLOB: [&str; 2] =
    ["INSERT INTO blobs (sha256, `blob`, created_at) VALUES (", ") ON DUPLICATE KEY UPDATE sha256 = blobs.sha256"];

sql_blobs!(MysqlBlobs, sqlx::MySql, mysql, pool);
