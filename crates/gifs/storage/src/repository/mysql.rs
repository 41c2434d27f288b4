//! GIFs in MySQL.

use kennel_storage::mysql::Mysql;

use super::sql::sql_gifs;

/// The GIFs of a MySQL database.
pub(super) struct MysqlGifs(pub(super) Mysql);

impl MysqlGifs {
    fn reader(&self) -> &sqlx::MySqlPool {
        self.0.pool()
    }

    async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        self.0.run(call).await
    }
}

sql_gifs!(MysqlGifs, sqlx::MySql, mysql);
