//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;

use kennel_core::{Event, Timestamp};
use kennel_storage::{Database, StorageConfig};
use market_domain::{Book, BookState, Candle, Instrument, Micros, Side, Timeframe, Trade, Venue};
use market_preprocessor::repository::{self, MIGRATIONS};
use market_preprocessor::store::{BookChange, CandleQuery, CandleRepository, StoredBook, StoredGap};
use prometheus::Registry;

/// A migrated store, with the database or folder that is removed when the value is dropped.
pub(crate) struct Store {
    pub(crate) candles: Arc<dyn CandleRepository>,
    pub(crate) database: Database,
    _resource: Box<dyn Any + Send + Sync>,
}

impl Store {
    async fn open(config: &StorageConfig, resource: impl Any + Send + Sync) -> Self {
        let database =
            kennel_storage::open(config, "market-preprocessor", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(at(0)).await.unwrap();
        Self { candles: repository::candles(&database), database, _resource: Box::new(resource) }
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// All candles of an instrument and timeframe, in the order of time.
    pub(crate) async fn all(&self, instrument: &Instrument, timeframe: Timeframe) -> Vec<Candle> {
        self.candles.candles(&query(instrument, timeframe)).await.unwrap()
    }

    /// The events that are not published yet, in the order of their commits.
    pub(crate) async fn pending(&self) -> Vec<Event> {
        self.database.outbox.pending(1_000).await.unwrap()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    Some(Store::open(&StorageConfig::sqlite(folder.path().join("candles.db")), folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Store::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Store::open(&StorageConfig::mysql(database.dsn()), database).await)
}

#[cfg(feature = "clickhouse")]
pub(crate) async fn clickhouse() -> Option<Store> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some(Store::open(&StorageConfig::clickhouse(database.dsn()), database).await)
}

/// A point in time, `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007 + millis).unwrap()
}

/// The start of a day.
pub(crate) const START: i64 = 19_700 * 24 * 3600 * Micros::SECOND;
/// How long candles wait for missing trades.
pub(crate) const HOLD: i64 = 60 * Micros::SECOND;

pub(crate) fn instrument(venue: Venue, symbol: &str) -> Instrument {
    Instrument { venue, symbol: symbol.parse().unwrap() }
}

/// A trade `seconds` after the start of a day.
pub(crate) fn trade(instrument: &Instrument, id: i64, seconds: i64, price: &str) -> Trade {
    let time = Micros(START + seconds * Micros::SECOND);
    Trade {
        instrument: instrument.clone(),
        id,
        price: price.parse().unwrap(),
        size: "0.00000001".parse().unwrap(),
        taker: Some(Side::Buy),
        time,
        received: Micros(time.0 + 7),
    }
}

pub(crate) fn query(instrument: &Instrument, timeframe: Timeframe) -> CandleQuery {
    CandleQuery { instrument: instrument.clone(), timeframe, from: None, to: None, limit: u32::MAX }
}

/// The change that the trades are, to a book of this version.
pub(crate) fn change(book: &mut Book, version: i64, trades: &[Trade]) -> BookChange {
    for trade in trades {
        for range in book.needed(trade) {
            book.load(range, Vec::new());
        }
        book.apply(trade).unwrap();
    }
    let changes = book.take_changes();
    BookChange {
        book: StoredBook { instrument: trades[0].instrument.clone(), state: book.state().clone(), version },
        candles: changes.candles,
        gaps: changes.gaps.iter().map(StoredGap::from).collect(),
    }
}

/// The change of a new book.
pub(crate) fn first_change(trades: &[Trade]) -> BookChange {
    change(&mut Book::new(trades[0].instrument.clone(), BookState::default(), HOLD), 1, trades)
}
