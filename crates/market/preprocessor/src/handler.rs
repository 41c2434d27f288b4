//! Adds batches of trades to the candles.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{BoxError, Event, EventFilter, EventType as _, IdSource, RepoError, Timestamp};
use kennel_outbox::{BatchHandler, BatchItem, BatchResults, Handled, HandlerError};
use market_contracts::{CandleChanged, TradeReported};
use market_domain::{Applied, Book, BookState, Candle, Instrument, Limits, Refusal, Timeframe, Trade};
use tokio::sync::Mutex;

use crate::metrics::PreprocessorMetrics;
use crate::store::{BookChange, CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

/// The CloudEvents `source` of all events.
pub(crate) const SOURCE: &str = "/market-preprocessor";
/// How often a batch is attempted while other members of the group change its books.
const MAX_ATTEMPTS: u32 = 20;

/// A book in memory, with the version that is stored.
#[derive(Clone)]
struct Cached {
    book: Book,
    version: i64,
}

/// What a batch was applied to, and what has to be stored of it.
#[derive(Default)]
struct Applying {
    books: BTreeMap<Instrument, Cached>,
    new: u64,
    duplicate: u64,
}

/// Handles [`TradeReported`].
pub struct TradeHandler {
    store: Arc<dyn CandleRepository>,
    ids: Arc<dyn IdSource>,
    metrics: PreprocessorMetrics,
    limits: Limits,
    /// How long candles wait for missing trades, in microseconds of event time.
    hold: i64,
    /// The books of the instruments that this member handles, as they are stored.
    books: Mutex<HashMap<Instrument, Cached>>,
}

impl TradeHandler {
    /// The consumer group, and the name of its component.
    pub const GROUP: &str = "market-preprocessor.trades";

    /// Candles wait for missing trades for `hold` microseconds of event time.
    pub fn new(
        store: Arc<dyn CandleRepository>,
        ids: Arc<dyn IdSource>,
        metrics: PreprocessorMetrics,
        limits: Limits,
        hold: i64,
    ) -> Self {
        Self { store, ids, metrics, limits, hold, books: Mutex::default() }
    }

    fn read(&self, event: &Event) -> Result<Trade, HandlerError> {
        let read = || -> Result<Trade, (&'static str, BoxError)> {
            let reported = event.decode::<TradeReported>().map_err(|error| ("message", error.into()))?;
            let trade = Trade::try_from(reported.unwrap_or_default()).map_err(|error| ("message", error.into()))?;
            trade.check(self.limits).map_err(|refusal| (refusal.name(), refusal.into()))?;
            Ok(trade)
        };
        read().map_err(|(reason, error)| {
            self.metrics.refused(reason);
            HandlerError::Permanent(error)
        })
    }

    /// Applies trades to copies of the books, and commits them.
    async fn apply(&self, items: &[(&BatchItem, Trade)]) -> Result<Vec<Option<Refusal>>, RepoError> {
        let mut cache = self.books.lock().await;
        let mut applying = Applying::default();
        let mut refusals = Vec::with_capacity(items.len());
        for (_, trade) in items {
            let instrument = &trade.instrument;
            if !applying.books.contains_key(instrument) {
                let cached = match cache.get(instrument) {
                    Some(cached) => cached.clone(),
                    None => self.open(instrument).await?,
                };
                applying.books.insert(instrument.clone(), cached);
            }
            let Some(cached) = applying.books.get_mut(instrument) else { continue };
            self.load(&mut cached.book, trade).await?;
            let applied = cached.book.apply(trade);
            applying.new += u64::from(applied == Ok(Applied::New));
            applying.duplicate += u64::from(applied == Ok(Applied::Duplicate));
            refusals.push(applied.err());
        }
        let accepted = items.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let receipts = accepted.map(|((item, _), _)| item.receipt.clone()).collect();
        let commit = self.commit(&mut applying, receipts)?;
        if let Err(error) = self.store.commit(&commit).await {
            // What is in memory may be older than what is stored.
            for instrument in applying.books.keys() {
                cache.remove(instrument);
            }
            return Err(error);
        }
        let candles = commit.changes.iter().map(|change| change.candles.len() as u64).sum();
        self.metrics.applied(applying.new, applying.duplicate, candles);
        cache.extend(applying.books);
        Ok(refusals)
    }

    async fn open(&self, instrument: &Instrument) -> Result<Cached, RepoError> {
        let stored = self.store.book(instrument).await?;
        let (state, version) = stored.map_or_else(|| (BookState::default(), 0), |book| (book.state, book.version));
        Ok(Cached { book: Book::new(instrument.clone(), state, self.hold), version })
    }

    /// Loads the candles that the trade may change.
    async fn load(&self, book: &mut Book, trade: &Trade) -> Result<(), RepoError> {
        for (first, last) in book.needed(trade) {
            let query = CandleQuery {
                instrument: trade.instrument.clone(),
                timeframe: first.timeframe,
                from: Some(first.open_time),
                to: Some(last.end()),
                limit: u32::MAX,
            };
            book.load((first, last), self.store.candles(&query).await?);
        }
        Ok(())
    }

    /// Takes the changes of the books. Books without changes are not written.
    fn commit(&self, applying: &mut Applying, receipts: Vec<kennel_core::Receipt>) -> Result<Commit, RepoError> {
        let mut commit = Commit { receipts, ..Commit::default() };
        for (instrument, cached) in &mut applying.books {
            let changes = cached.book.take_changes();
            if changes.candles.is_empty() && changes.gaps.is_empty() {
                continue;
            }
            cached.book.forget(self.limits.behind);
            cached.version += 1;
            // Every change of a minute, and longer candles when they are final: their changes follow from the minutes.
            let is_published = |candle: &&Candle| candle.is_final || candle.key.window.timeframe == Timeframe::M1;
            for candle in changes.candles.iter().filter(is_published) {
                commit.events.push(self.event(candle)?);
            }
            let (state, version) = (cached.book.state().clone(), cached.version);
            commit.changes.push(BookChange {
                book: StoredBook { instrument: instrument.clone(), state, version },
                candles: changes.candles,
                gaps: changes.gaps.iter().map(StoredGap::from).collect(),
            });
        }
        Ok(commit)
    }

    fn event(&self, candle: &Candle) -> Result<Event, RepoError> {
        let time = Timestamp::from_millis(candle.updated.0.div_euclid(1_000)).map_err(RepoError::corrupt)?;
        let event = Event::new(self.ids.next(), SOURCE, time, &CandleChanged::from(candle));
        event.map_err(|error| RepoError::Backend(error.into()))
    }
}

#[async_trait]
impl BatchHandler for TradeHandler {
    fn filter(&self) -> EventFilter {
        EventFilter::names([TradeReported::NAME])
    }

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        let read: Vec<_> = batch.iter().map(|item| (item, self.read(&item.event))).collect();
        let mut accepted = Vec::new();
        for (item, trade) in &read {
            accepted.extend(trade.as_ref().ok().map(|trade| (*item, trade.clone())));
        }
        let mut attempts = 0;
        let refusals = loop {
            match self.apply(&accepted).await {
                Ok(refusals) => break refusals,
                Err(RepoError::Conflict) if attempts < MAX_ATTEMPTS => attempts += 1,
                // Trades wait for the store, however long that takes.
                Err(error @ RepoError::Unavailable(_)) => return Err(HandlerError::Unavailable(error.into())),
                Err(error) => return Err(HandlerError::Retry(error.into())),
            }
        };
        let mut refusals = refusals.into_iter();
        let result = |(_, trade): (&BatchItem, Result<Trade, HandlerError>)| {
            trade?;
            match refusals.next().flatten() {
                None => Ok(Handled::Recorded),
                Some(refusal) => {
                    self.metrics.refused(refusal.name());
                    Err(HandlerError::Permanent(refusal.into()))
                }
            }
        };
        Ok(read.into_iter().map(result).collect())
    }
}
