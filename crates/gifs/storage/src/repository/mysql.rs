//! GIFs in MySQL.

use kennel_storage::mysql::Mysql;

use super::sql::sql_gifs;

/// The GIFs of a MySQL database.
pub(super) struct MysqlGifs(pub(super) Mysql);

sql_gifs!(MysqlGifs, sqlx::MySql, mysql, pool);
