//! GIFs in `PostgreSQL`.

use kennel_storage::postgres::Postgres;

use super::sql::sql_gifs;

/// The GIFs of a `PostgreSQL` database.
pub(super) struct PostgresGifs(pub(super) Postgres);

impl PostgresGifs {
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

sql_gifs!(PostgresGifs, sqlx::Postgres, postgres);
