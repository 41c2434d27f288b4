//! The port of the store. Every store passes one conformance suite, which tests the statements below.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use market_domain::{BookState, Candle, Gap, GapState, Instrument, Micros, Missing, Timeframe, Venue};
use serde::{Deserialize, Serialize};

/// A book as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBook {
    /// Its instrument.
    pub instrument: Instrument,
    /// Its state.
    pub state: BookState,
    /// Increases with every change, from 1.
    pub version: i64,
}

/// A gap as it is stored: without the single ranges that are still missing, which are in the state of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGap {
    /// All ids that were missing when it was found.
    pub whole: Missing,
    /// Number of ids that are still missing.
    pub missing: i64,
    /// What became of it.
    pub state: GapState,
}

impl From<&Gap> for StoredGap {
    fn from(gap: &Gap) -> Self {
        Self { whole: gap.whole, missing: gap.count(), state: gap.state }
    }
}

/// What trades have changed in one book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookChange {
    /// The book, with the version after the change.
    pub book: StoredBook,
    /// The changed candles of its instrument, each once.
    pub candles: Vec<Candle>,
    /// The changed gaps of its instrument, each once.
    pub gaps: Vec<StoredGap>,
}

/// What is committed together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// The changes, one for each book.
    pub changes: Vec<BookChange>,
    /// The events to publish.
    pub events: Vec<Event>,
}

/// A query for the candles of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleQuery {
    /// The instrument.
    pub instrument: Instrument,
    /// The length of the candles.
    pub timeframe: Timeframe,
    /// The earliest start of a candle, if it is given.
    pub from: Option<Micros>,
    /// Before which candles start, if it is given.
    pub to: Option<Micros>,
    /// Maximum number of candles: the oldest ones if `from` is given, otherwise the newest ones.
    pub limit: u32,
}

/// Stores books, candles and gaps.
#[async_trait]
pub trait CandleRepository: Send + Sync + 'static {
    /// Stores changes and events in one transaction: after an error, none of them is stored.
    ///
    /// Fails with [`RepoError::Conflict`] if a book is not stored with the version before that of its change, so that of
    /// two members that change one book, one starts again. A candle is replaced by one with a higher revision only.
    async fn commit(&self, commit: &Commit) -> Result<(), RepoError>;

    /// Returns the book of an instrument, as it was committed last.
    async fn book(&self, instrument: &Instrument) -> Result<Option<StoredBook>, RepoError>;

    /// Returns all books, or those of a venue, in the order of venue and symbol.
    async fn books(&self, venue: Option<Venue>) -> Result<Vec<StoredBook>, RepoError>;

    /// Returns candles in the order of time.
    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, RepoError>;

    /// Returns the gaps of an instrument with the highest ids, the highest first.
    async fn gaps(&self, instrument: &Instrument, limit: u32) -> Result<Vec<StoredGap>, RepoError>;
}
