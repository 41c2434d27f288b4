//! Candles in `PostgreSQL`.

use kennel_storage::postgres::Postgres;

use super::sql::sql_candles;
use super::statements::UPSERT;

/// The candles of a `PostgreSQL` database.
pub(super) struct PostgresCandles(pub(super) Postgres);

impl PostgresCandles {
    fn reader(&self) -> &kennel_storage::postgres::Sessions {
        self.0.single()
    }

    async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        self.0.run(call).await
    }
}

sql_candles!(PostgresCandles, sqlx::Postgres, postgres, UPSERT);
