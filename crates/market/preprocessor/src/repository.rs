//! Candles in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod statements;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::RepoError;
use kennel_storage::{Database, DatabaseMetrics, Engine, Migrations, database_span, migration};
use market_domain::{Candle, Instrument, Venue};

use crate::store::{CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

/// The migrations of the schema.
#[expect(clippy::allow_attributes, reason = "whether a store is left out depends on the features")]
#[allow(clippy::needless_update)]
pub const MIGRATIONS: Migrations = Migrations {
    #[cfg(feature = "sqlite")]
    sqlite: &[
        kennel_storage::sqlite::EVENTS,
        migration!("../../../../migrations/market/candles/sqlite", 2, "0002_candles"),
    ],
    #[cfg(feature = "postgres")]
    postgres: &[
        kennel_storage::postgres::EVENTS,
        migration!("../../../../migrations/market/candles/postgres", 2, "0002_candles"),
    ],
    #[cfg(feature = "mysql")]
    mysql: &[
        kennel_storage::mysql::EVENTS,
        migration!("../../../../migrations/market/candles/mysql", 2, "0002_candles"),
    ],
    #[cfg(feature = "clickhouse")]
    clickhouse: &[
        kennel_storage::clickhouse::EVENTS,
        migration!("../../../../migrations/market/candles/clickhouse", 2, "0002_candles"),
    ],
    ..Migrations::NONE
};

/// The candles in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn candles(database: &Database) -> Arc<dyn CandleRepository> {
    let inner: Arc<dyn CandleRepository> = match &database.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(engine) => Arc::new(sqlite::SqliteCandles(engine.clone())),
        #[cfg(feature = "postgres")]
        Engine::Postgres(engine) => Arc::new(postgres::PostgresCandles(engine.clone())),
        #[cfg(feature = "mysql")]
        Engine::Mysql(engine) => Arc::new(mysql::MysqlCandles(engine.clone())),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(engine) => Arc::new(clickhouse::ClickHouseCandles(engine.clone())),
        #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
        #[allow(unreachable_patterns)]
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
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
