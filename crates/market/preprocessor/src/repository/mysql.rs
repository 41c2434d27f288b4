//! Candles in MySQL.

use kennel_storage::mysql::Mysql;

use super::sql::sql_candles;
use super::statements::MYSQL_UPSERT;

/// The candles of a MySQL database.
pub(super) struct MysqlCandles(pub(super) Mysql);

impl MysqlCandles {
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

sql_candles!(MysqlCandles, sqlx::MySql, mysql, MYSQL_UPSERT);
