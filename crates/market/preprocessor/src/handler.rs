//! Adds batches of trades to the candles.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{BoxError, Clock, Event, EventFilter, IdSource, RepoError};
use kennel_outbox::{BatchHandler, BatchItem, BatchLimits, BatchResults, Handled, HandlerError};
use market_contracts::{TRADE_EVENTS, read_trade};
use market_domain::{Applied, Book, BookState, Continuity, Instrument, Limits, Micros, Refusal, Trade};
use tokio::sync::Mutex;

use crate::events::events;
use crate::latest::LatestCandles;
use crate::metrics::PreprocessorMetrics;
use crate::store::{BookChange, CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

/// Maximum number of trades of a batch.
const MAX_TRADES: usize = 4_000;
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

/// Handles the events of [`TRADE_EVENTS`]. A trade that is in both topics is counted once: its id is known when it comes again.
pub struct TradeHandler {
    store: Arc<dyn CandleRepository>,
    ids: Arc<dyn IdSource>,
    clock: Arc<dyn Clock>,
    metrics: PreprocessorMetrics,
    limits: Limits,
    /// How long candles wait for missing trades, in microseconds of event time.
    hold: i64,
    latest: LatestCandles,
    /// The books of the instruments that this member handles, as they are stored.
    books: Mutex<HashMap<Instrument, Cached>>,
}

impl TradeHandler {
    /// The consumer group, and the name of its component.
    pub const GROUP: &str = "market-preprocessor.trades";
    /// The consumer group of the topic of version 2.
    pub const GROUP_V2: &str = "market-preprocessor.trades_v2";
    /// The limits of a batch, which is one transaction.
    pub const LIMITS: BatchLimits =
        BatchLimits { events: MAX_TRADES, of_key: MAX_TRADES, bytes: 4 << 20, linger: Duration::from_millis(5) };

    /// Candles wait for missing trades for `hold` microseconds of event time.
    pub fn new(
        store: Arc<dyn CandleRepository>,
        (ids, clock): (Arc<dyn IdSource>, Arc<dyn Clock>),
        metrics: PreprocessorMetrics,
        limits: Limits,
        hold: i64,
    ) -> Self {
        Self { store, ids, clock, metrics, limits, hold, latest: LatestCandles::default(), books: Mutex::default() }
    }

    /// Adds the newest candles to `latest` after each commit.
    #[must_use]
    pub fn with_latest(self, latest: LatestCandles) -> Self {
        Self { latest, ..self }
    }

    fn read(&self, event: &Event) -> Result<Trade, HandlerError> {
        let read = || -> Result<Trade, (&'static str, BoxError)> {
            let trade = read_trade(event).map_err(|error| ("message", error.into()))?;
            trade.check(self.limits).map_err(|refusal| (refusal.name(), refusal.into()))?;
            Ok(trade)
        };
        read().map_err(|(reason, error)| {
            self.metrics.refused(reason);
            HandlerError::Permanent(error)
        })
    }

    /// Applies trades to copies of the books, and commits them.
    async fn apply(&self, trades: &[&Trade]) -> Result<Vec<Option<Refusal>>, RepoError> {
        let mut cache = self.books.lock().await;
        let mut applying = Applying::default();
        let mut refusals = Vec::with_capacity(trades.len());
        for trade in trades {
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
        let commit = self.commit(&mut applying)?;
        if !commit.changes.is_empty()
            && let Err(error) = self.store.commit(&commit).await
        {
            // What is in memory may be older than what is stored.
            for instrument in applying.books.keys() {
                cache.remove(instrument);
            }
            return Err(error);
        }
        let candles = commit.changes.iter().map(|change| change.candles.len() as u64).sum();
        self.metrics.applied(applying.new, applying.duplicate, candles);
        for BookChange { book, candles, .. } in &commit.changes {
            let known = book.state.continuity.as_ref();
            self.latest.offer(candles, known.map(Continuity::latest).unwrap_or_default());
        }
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
    fn commit(&self, applying: &mut Applying) -> Result<Commit, RepoError> {
        let mut commit = Commit::default();
        for (instrument, cached) in &mut applying.books {
            let changes = cached.book.take_changes();
            if changes.candles.is_empty() && changes.gaps.is_empty() {
                continue;
            }
            cached.book.forget(self.limits.behind);
            cached.version += 1;
            commit.events.extend(events(&*self.ids, &changes.candles)?);
            let (state, version) = (cached.book.state().clone(), cached.version);
            commit.changes.push(BookChange {
                book: StoredBook { instrument: instrument.clone(), state, version },
                candles: changes.candles,
                gaps: changes.gaps.iter().map(StoredGap::from).collect(),
            });
        }
        Ok(commit)
    }
}

#[async_trait]
impl BatchHandler for TradeHandler {
    fn filter(&self) -> EventFilter {
        EventFilter::names(TRADE_EVENTS)
    }

    /// A book knows the ids of its trades, without gaps, and commits with the candles: a receipt for each trade would say
    /// the same once more.
    fn recognizes_duplicates(&self) -> bool {
        true
    }

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        let read: Vec<_> = batch.iter().map(|item| self.read(&item.event)).collect();
        let accepted: Vec<_> = read.iter().flatten().collect();
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
        let now = Micros(self.clock.now().as_millis() * 1_000);
        let stored = accepted.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        self.metrics.stored(stored.map(|(trade, _)| *trade), now);
        let mut refusals = refusals.into_iter();
        let result = |trade: Result<Trade, HandlerError>| {
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
