//! Compares candles with those that the venues compute themselves, and repairs what differs.
//!
//! Longer candles are folds of the minutes, so only minutes are compared. A minute that differs is repaired if the trades that the
//! venue has of it add up to the venue's candle: then these are its trades.

mod history;
pub(crate) mod locks;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kennel_client::ClientError;
use kennel_core::{IdSource, RepoError};
use market_domain::{Candle, Instrument, Micros, Refusal, Symbol, Timeframe, Venue, Window};
use market_venues::{InvalidFrame, Kline, LIMITED, Order, adapter, pause_after};

pub use self::history::{RestHistory, VenueHistory};
use crate::metrics::AuditMetrics;
use crate::store::{CandleQuery, CandleRepository, StoredBook};

/// How old a minute is, in event time, when it is compared: the venues change their newest candles for a moment.
const SETTLED: i64 = 2 * Timeframe::M1.micros();

/// Compares and repairs.
pub struct Audit {
    /// The candles.
    pub store: Arc<dyn CandleRepository>,
    /// What venues say.
    pub histories: BTreeMap<Venue, Arc<dyn VenueHistory>>,
    /// The ids of events.
    pub ids: Arc<dyn IdSource>,
    /// What is counted.
    pub metrics: AuditMetrics,
    /// How long candles wait for missing trades, in microseconds of event time.
    pub hold: i64,
}

/// What to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Only instruments of this venue.
    pub venue: Option<Venue>,
    /// Only instruments with this symbol.
    pub symbol: Option<Symbol>,
    /// How many microseconds before its end it starts.
    pub span: i64,
    /// Only minutes that end at this time or before; without it, up to the newest one that is final and at least two minutes old.
    pub to: Option<Micros>,
    /// Whether to repair what differs.
    pub repair: bool,
}

/// A minute that differs.
#[derive(Debug)]
pub struct Finding {
    /// The instrument.
    pub instrument: Instrument,
    /// The minute.
    pub window: Window,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Whether it was repaired, or why not; `None` if that was not asked for.
    pub repair: Option<Result<(), AuditError>>,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name; `candle` if one of both has no candle.
    pub field: &'static str,
    /// The stored value.
    pub own: String,
    /// The venue's value.
    pub venue: String,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Number of minutes with trades.
    pub compared: u64,
    /// Number of those that differ.
    pub different: u64,
    /// Number of those that were repaired.
    pub repaired: u64,
}

/// Why something cannot be compared or repaired.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The venue does not answer.
    #[error("cannot ask the venue")]
    Client(#[from] ClientError),
    /// The answer of the venue cannot be read.
    #[error("cannot read what the venue answers")]
    Frame(#[from] InvalidFrame),
    /// The URL of the venue is invalid.
    #[error("url of the venue is invalid")]
    Url(#[from] url::ParseError),
    /// The store failed.
    #[error("store failed")]
    Store(#[from] RepoError),
    /// The totals have too many digits.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The trades of the venue do not add up to its own candle.
    #[error("the venue's trades do not add up to its candle")]
    Unexplained,
    /// The venue has refused requests, and wants none for now.
    #[error("the venue wants no requests for now")]
    Paused,
    /// No candles before and after the minute say which ids its trades can have.
    #[error("the ids of the trades are not known")]
    NoNeighbours,
}

impl AuditError {
    /// How long the venue wants no requests, if it says so.
    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Client(ClientError::Status { status, retry_after }) => pause_after(status.as_u16(), *retry_after),
            Self::Client(error) => error.retry_after(),
            Self::Frame(error) if error.is_limit() => Some(LIMITED),
            _ => None,
        }
    }

    /// Whether nothing more is to be asked of the venue.
    fn stops_venue(&self) -> bool {
        matches!(self, Self::Paused) || self.pause().is_some()
    }
}

impl Audit {
    /// Compares the final minutes of all instruments of the scope whose venue has a history. `report` is called for each minute that
    /// differs. An instrument that cannot be compared is an error, after the others were compared; those of a venue that refuses
    /// requests are not compared any more.
    pub async fn run(&self, scope: &Scope, report: impl FnMut(Finding)) -> Result<Summary, AuditError> {
        let result = self.compare_all(scope, report).await;
        self.metrics.ended(result.is_ok());
        result
    }

    async fn compare_all(&self, scope: &Scope, mut report: impl FnMut(Finding)) -> Result<Summary, AuditError> {
        let mut summaries = BTreeMap::<Venue, Summary>::new();
        let mut stopped = BTreeSet::new();
        let mut failed = Ok(());
        for book in self.store.books(scope.venue).await? {
            let venue = book.instrument.venue;
            let Some(history) = self.histories.get(&venue) else { continue };
            let is_other = scope.symbol.as_ref().is_some_and(|symbol| *symbol != book.instrument.symbol);
            if is_other || stopped.contains(&venue) {
                continue;
            }
            let summary = summaries.entry(venue).or_default();
            let result = self.compare(&**history, &book, scope, summary, &mut report).await;
            if result.as_ref().is_err_and(AuditError::stops_venue) {
                stopped.insert(venue);
            }
            failed = failed.and(result);
        }
        for venue in self.histories.keys().filter(|venue| scope.venue.is_none_or(|only| only == **venue)) {
            self.metrics.compared(*venue, summaries.get(venue).copied().unwrap_or_default());
        }
        failed.map(|()| summaries.into_values().fold(Summary::default(), Summary::plus))
    }

    async fn compare(
        &self,
        history: &dyn VenueHistory,
        book: &StoredBook,
        scope: &Scope,
        summary: &mut Summary,
        report: &mut impl FnMut(Finding),
    ) -> Result<(), AuditError> {
        let instrument = &book.instrument;
        let Some((from, to)) = range(book, scope, history.since()) else { return Ok(()) };
        let own = self.minutes(instrument, Some(from), Some(to), u32::MAX).await?;
        let own: BTreeMap<_, _> = own.into_iter().map(|candle| (candle.key.window.open_time, candle)).collect();
        let klines = history.klines(&instrument.symbol, from, to).await?;
        let venues: BTreeMap<_, _> = klines.iter().map(|kline| (kline.open_time, kline)).collect();
        let mut times: Vec<_> = own.keys().chain(venues.keys()).copied().collect();
        times.sort_unstable();
        times.dedup();
        // A repair reads from the minute before, or after, which has been repaired by then: so each trade is read once.
        if adapter(instrument.venue).rules().order == Order::Descending {
            times.reverse();
        }
        for open_time in times {
            let kline = venues.get(&open_time).filter(|kline| !kline.volume.is_zero());
            let differences = differences(own.get(&open_time), kline.copied());
            if kline.is_none() && !own.contains_key(&open_time) {
                continue;
            }
            summary.compared += 1;
            if differences.is_empty() {
                continue;
            }
            summary.different += 1;
            let window = Window { timeframe: Timeframe::M1, open_time };
            let repair = match (scope.repair, kline) {
                (false, _) => None,
                (true, None) => Some(Err(AuditError::Unexplained)),
                (true, Some(kline)) => Some(self.repair(history, instrument, window, kline).await),
            };
            summary.repaired += u64::from(matches!(repair, Some(Ok(()))));
            let is_refused = matches!(&repair, Some(Err(error)) if error.stops_venue());
            report(Finding { instrument: instrument.clone(), window, differences, repair });
            if is_refused {
                return Err(AuditError::Paused);
            }
        }
        Ok(())
    }

    /// Stored candles of one minute.
    async fn minutes(
        &self,
        instrument: &Instrument,
        from: Option<Micros>,
        to: Option<Micros>,
        limit: u32,
    ) -> Result<Vec<Candle>, RepoError> {
        let query = CandleQuery { instrument: instrument.clone(), timeframe: Timeframe::M1, from, to, limit };
        self.store.candles(&query).await
    }
}

impl Summary {
    fn plus(self, other: Self) -> Self {
        Self {
            compared: self.compared + other.compared,
            different: self.different + other.different,
            repaired: self.repaired + other.repaired,
        }
    }
}

/// The minutes to compare: those that are final and settled, after the one in which the first trade was received, of which the venue
/// has candles.
fn range(book: &StoredBook, scope: &Scope, since: Micros) -> Option<(Micros, Micros)> {
    let known = book.state.continuity.as_ref()?;
    let settled = Micros(known.watermark().0.saturating_sub(SETTLED));
    let to = Timeframe::M1.open_of(scope.to.map_or(settled, |to| to.min(settled)));
    let first = Window::of(Timeframe::M1, known.started()).end();
    let from = Timeframe::M1.open_of(Micros(to.0.saturating_sub(scope.span))).max(first).max(since);
    (from < to).then_some((from, to))
}

/// What differs between a stored candle and that of the venue.
fn differences(own: Option<&Candle>, venue: Option<&Kline>) -> Vec<Difference> {
    let (own, venue) = match (own, venue) {
        (Some(own), Some(venue)) => (own, venue),
        (None, None) => return Vec::new(),
        (own, venue) => {
            let text = |is_there: bool| if is_there { "present" } else { "missing" }.to_owned();
            let (own, venue) = (text(own.is_some()), text(venue.is_some()));
            return vec![Difference { field: "candle", own, venue }];
        }
    };
    let bar = &own.bar;
    let mut values = vec![
        ("open", bar.open.to_string(), venue.open.to_string()),
        ("high", bar.high.to_string(), venue.high.to_string()),
        ("low", bar.low.to_string(), venue.low.to_string()),
        ("close", bar.close.to_string(), venue.close.to_string()),
        ("volume", bar.volume.to_string(), venue.volume.to_string()),
    ];
    values.extend(venue.quote_volume.map(|volume| ("quote_volume", bar.quote_volume.to_string(), volume.to_string())));
    values.extend(venue.trades.map(|trades| ("trades", bar.trades.to_string(), trades.to_string())));
    let differ = values.into_iter().filter(|(_, own, venue)| own != venue);
    differ.map(|(field, own, venue)| Difference { field, own, venue }).collect()
}
