//! GIFs in `PostgreSQL`.

use kennel_storage::postgres::Postgres;

use super::sql::sql_gifs;

/// The GIFs of a `PostgreSQL` database.
pub(super) struct PostgresGifs(pub(super) Postgres);

sql_gifs!(PostgresGifs, sqlx::Postgres, postgres, single);
