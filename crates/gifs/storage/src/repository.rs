//! GIFs in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
mod rows;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod statements;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gifs_contracts::GifId;
use gifs_domain::catalogue::{Discovery, Gif, GifKey, GifQuery, GifRepository, Settled, Settlement};
use kennel_core::RepoError;
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../../migrations/gifs/catalogue", [(2, "0002_gifs")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
    #[cfg(feature = "clickhouse")]
    clickhouse,
};

/// The GIFs in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn gifs(database: &Database) -> Arc<dyn GifRepository> {
    let inner: Arc<dyn GifRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlGifs,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlGifs,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlGifs,
        #[cfg(feature = "clickhouse")]
        ClickHouse => clickhouse::ClickHouseGifs,
    };
    Arc::new(InstrumentedGifRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to a [`GifRepository`].
struct InstrumentedGifRepository {
    inner: Arc<dyn GifRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl GifRepository for InstrumentedGifRepository {
    async fn upsert(&self, found: &[Discovery]) -> Result<Vec<Gif>, RepoError> {
        let span = database_span!(self.metrics.system(), "gifs", "upsert", "gifs", gif.count = found.len());
        self.metrics.instrument("gifs.upsert", span, self.inner.upsert(found)).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, RepoError> {
        let span = database_span!(self.metrics.system(), "gifs", "settle", "gifs", gif.id = %settlement.id);
        self.metrics.instrument("gifs.settle", span, self.inner.settle(settlement)).await
    }

    async fn find(&self, id: GifId) -> Result<Option<Gif>, RepoError> {
        let span = database_span!(self.metrics.system(), "gifs", "find", "gifs", gif.id = %id);
        self.metrics.instrument("gifs.find", span, self.inner.find(id)).await
    }

    async fn find_by_keys(&self, keys: &[GifKey]) -> Result<Vec<Gif>, RepoError> {
        let span = database_span!(self.metrics.system(), "gifs", "find_by_keys", "gifs", gif.count = keys.len());
        self.metrics.instrument("gifs.find_by_keys", span, self.inner.find_by_keys(keys)).await
    }

    async fn list(&self, query: &GifQuery) -> Result<Vec<Gif>, RepoError> {
        let span = database_span!(self.metrics.system(), "gifs", "list", "gifs", page.limit = query.limit);
        self.metrics.instrument("gifs.list", span, self.inner.list(query)).await
    }
}

/// How often an upsert is attempted while other calls add one of its GIFs.
const MAX_ATTEMPTS: u32 = 20;

/// The GIFs in the order of `keys`; those without a key are left out.
fn in_order(keys: &[GifKey], gifs: Vec<Gif>) -> Vec<Gif> {
    let mut gifs: HashMap<_, _> = gifs.into_iter().map(|gif| (gif.key.clone(), gif)).collect();
    keys.iter().filter_map(|key| gifs.remove(key)).collect()
}
