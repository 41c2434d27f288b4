//! Candles in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod statements;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::RepoError;
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};
use market_domain::{Candle, Instrument, Venue};

use crate::store::{CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../../migrations/market/candles", [(2, "0002_candles")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
    #[cfg(feature = "clickhouse")]
    clickhouse,
};

/// The candles in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn candles(database: &Database) -> Arc<dyn CandleRepository> {
    let inner: Arc<dyn CandleRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlCandles,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlCandles,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlCandles,
        #[cfg(feature = "clickhouse")]
        ClickHouse => clickhouse::ClickHouseCandles,
    };
    Arc::new(InstrumentedCandleRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to a [`CandleRepository`].
struct InstrumentedCandleRepository {
    inner: Arc<dyn CandleRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl CandleRepository for InstrumentedCandleRepository {
    async fn commit(&self, commit: &Commit) -> Result<(), RepoError> {
        let span =
            database_span!(self.metrics.system(), "candles", "commit", "candles", book.count = commit.changes.len());
        self.metrics.instrument("candles.commit", span, self.inner.commit(commit)).await
    }

    async fn book(&self, instrument: &Instrument) -> Result<Option<StoredBook>, RepoError> {
        let span = database_span!(self.metrics.system(), "candles", "book", "books", instrument = %instrument);
        self.metrics.instrument("candles.book", span, self.inner.book(instrument)).await
    }

    async fn books(&self, venue: Option<Venue>) -> Result<Vec<StoredBook>, RepoError> {
        let span = database_span!(self.metrics.system(), "candles", "books", "books");
        self.metrics.instrument("candles.books", span, self.inner.books(venue)).await
    }

    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, RepoError> {
        let span =
            database_span!(self.metrics.system(), "candles", "candles", "candles", instrument = %query.instrument);
        self.metrics.instrument("candles.candles", span, self.inner.candles(query)).await
    }

    async fn gaps(&self, instrument: &Instrument, limit: u32) -> Result<Vec<StoredGap>, RepoError> {
        let span = database_span!(self.metrics.system(), "candles", "gaps", "gaps", instrument = %instrument);
        self.metrics.instrument("candles.gaps", span, self.inner.gaps(instrument, limit)).await
    }
}
