//! The comparison with what venues say, on every store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kennel_core::UuidV7;
use market_contracts::CandleChanged;
use market_domain::{Bar, GapState, Instrument, Micros, Missing, Symbol, Timeframe, Trade, Venue, Window};
use market_preprocessor::audit::{Audit, AuditError, Finding, Scope, Summary, VenueHistory};
use market_preprocessor::metrics::AuditMetrics;
use market_preprocessor::store::{BookChange, StoredBook};
use market_venues::{InvalidFrame, Kline};
use prometheus::Registry;

use crate::cases::commit;
use crate::handling::{handle, handler};
use crate::store::{HOLD, START, Store, first_change, instrument, trade};

/// A venue that has all trades, and candles of its own.
struct History {
    trades: Vec<Trade>,
    klines: Vec<Kline>,
    /// The earliest minute of which it has a candle.
    since: Micros,
    /// Whether it refuses requests for trades, as too many, and how often it did.
    refuses: bool,
    refused: AtomicUsize,
}

impl History {
    fn new(trades: Vec<Trade>, klines: Vec<Kline>) -> Self {
        Self { trades, klines, since: Micros(i64::MIN), refuses: false, refused: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl VenueHistory for History {
    fn since(&self) -> Micros {
        self.since
    }

    async fn klines(&self, _: &Symbol, from: Micros, to: Micros) -> Result<Vec<Kline>, AuditError> {
        Ok(self.klines.iter().filter(|kline| (from..to).contains(&kline.open_time)).copied().collect())
    }

    async fn trades(&self, _: &Symbol, wanted: Missing) -> Result<Vec<Trade>, AuditError> {
        if self.refuses {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(InvalidFrame::Refused("EAPI:Rate limit exceeded".to_owned()).into());
        }
        let is_wanted = |trade: &&Trade| (wanted.from..=wanted.to).contains(&trade.id);
        Ok(self.trades.iter().filter(is_wanted).cloned().collect())
    }
}

/// Number of trades of each minute.
const EACH: i64 = 6;
const MINUTES: i64 = 14;

fn kraken() -> Instrument {
    instrument(Venue::Kraken, "BTC-USD")
}

/// The trades of some minutes, of which the last one is not final, and the two before it are not settled.
fn trades() -> Vec<Trade> {
    (0..MINUTES * EACH).map(|n| trade(&kraken(), 100 + n, n * 60 / EACH, &format!("{}", 100 + n * 5 % 17))).collect()
}

fn minute_of(trade: &Trade) -> i64 {
    (trade.time.0 - START) / Timeframe::M1.micros()
}

/// The venue's candles.
fn klines(trades: &[Trade]) -> Vec<Kline> {
    let mut minutes = BTreeMap::<_, Vec<&Trade>>::new();
    for trade in trades {
        minutes.entry(Timeframe::M1.open_of(trade.time)).or_default().push(trade);
    }
    let kline = |(open_time, trades): (&Micros, &Vec<&Trade>)| {
        let bars: Vec<_> = trades.iter().map(|trade| Bar::of(trade).unwrap()).collect();
        let prices = || trades.iter().map(|trade| trade.price);
        let sum = |of: fn(&Bar) -> market_domain::Decimal| {
            bars.iter().map(of).reduce(|sum, next| sum.checked_add(next).unwrap()).unwrap()
        };
        Kline {
            open_time: *open_time,
            open: trades[0].price,
            high: prices().max().unwrap(),
            low: prices().min().unwrap(),
            close: trades[trades.len() - 1].price,
            volume: sum(|bar| bar.volume),
            quote_volume: Some(sum(|bar| bar.quote_volume)),
            trades: i64::try_from(trades.len()).ok(),
        }
    };
    minutes.iter().map(kline).collect()
}

/// The minutes, by their number, that an audit finds, and the names of the values that differ.
type Found = Vec<(i64, Vec<&'static str>, Option<Result<(), String>>)>;

fn auditor(store: &Store, history: &Arc<History>) -> Audit {
    Audit {
        store: Arc::clone(&store.candles),
        histories: BTreeMap::from([(Venue::Kraken, Arc::clone(history) as Arc<dyn VenueHistory>)]),
        ids: Arc::new(UuidV7),
        metrics: AuditMetrics::register(&Registry::new()).unwrap(),
        hold: HOLD,
    }
}

fn scope(to: Option<Micros>, repair: bool) -> Scope {
    Scope { venue: None, symbol: None, span: 24 * Timeframe::H1.micros(), to, repair }
}

async fn audit(store: &Store, history: History, repair: bool) -> (Summary, Found) {
    audit_to(store, history, None, repair).await
}

async fn audit_to(store: &Store, history: History, to: Option<Micros>, repair: bool) -> (Summary, Found) {
    let audit = auditor(store, &Arc::new(history));
    let mut found = Vec::new();
    let report = |finding: Finding| {
        let minute = (finding.window.open_time.0 - START) / Timeframe::M1.micros();
        let fields = finding.differences.iter().map(|difference| difference.field).collect();
        found.push((minute, fields, finding.repair.map(|repair| repair.map_err(|error| error.to_string()))));
    };
    let summary = audit.run(&scope(to, repair), report).await.unwrap();
    (summary, found)
}

/// All candles, without their revisions.
async fn bars(store: &Store) -> BTreeMap<Window, Bar> {
    let mut bars = BTreeMap::new();
    for timeframe in Timeframe::ALL {
        bars.extend(store.all(&kraken(), timeframe).await.into_iter().map(|candle| (candle.key.window, candle.bar)));
    }
    bars
}

/// Replaces the stored minute by one that its trades do not add up to.
async fn corrupt(store: &Store, minute: usize) {
    let stored = store.candles.book(&kraken()).await.unwrap().unwrap();
    let mut candle = store.all(&kraken(), Timeframe::M1).await.swap_remove(minute);
    candle.bar.volume = "7".parse().unwrap();
    candle.bar.trades = 1;
    candle.revision += 1;
    let book = StoredBook { version: stored.version + 1, ..stored };
    store.candles.commit(&commit(vec![BookChange { book, candles: vec![candle], gaps: Vec::new() }])).await.unwrap();
}

pub(crate) async fn an_audit_finds_exactly_what_differs_and_repairs_it(store: &Store) {
    let all = trades();
    // All trades of minute 4 are lost, and the one with the highest price of minute 6.
    let highest = all.iter().filter(|trade| minute_of(trade) == 6).max_by_key(|trade| trade.price).unwrap().id;
    let is_received = |trade: &&Trade| minute_of(trade) != 4 && trade.id != highest;
    let received: Vec<_> = all.iter().filter(is_received).cloned().collect();
    let member = handler(store);
    for trade in &received {
        handle(&member, std::slice::from_ref(trade)).await;
    }
    corrupt(store, 7).await;
    let before = bars(store).await;
    let history = || History::new(all.clone(), klines(&all));
    let (summary, found) = audit(store, history(), false).await;
    let minutes: Vec<_> =
        found.iter().map(|(minute, fields, repair)| (*minute, fields.len(), repair.is_none())).collect();
    // Minute 7 was stored as the seventh, since minute 4 has no candle.
    assert_eq!(minutes, [(4, 1, true), (6, 4, true), (8, 2, true)], "{found:?}");
    assert_eq!(found[0].1, ["candle"]);
    assert_eq!(found[2].1, ["volume", "trades"]);
    // The first minute is not compared: the collector may have started in it. The last one is not final, and
    // the two before it are not settled.
    assert_eq!((summary.compared, summary.different, summary.repaired), (10, 3, 0));
    assert_eq!(bars(store).await, before, "nothing is repaired unless it is asked for");

    let published = store.pending().await.len();
    let (summary, found) = audit(store, history(), true).await;
    assert_eq!((summary.different, summary.repaired), (3, 3), "{found:?}");
    let (summary, found) = audit(store, history(), true).await;
    assert_eq!((summary.compared, summary.different), (10, 0), "{found:?}");
    let whole = first_change(&all);
    let expected: BTreeMap<_, _> = whole.candles.into_iter().map(|candle| (candle.key.window, candle.bar)).collect();
    assert_eq!(bars(store).await, expected);
    let gaps = store.candles.gaps(&kraken(), 10).await.unwrap();
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| gap.state == GapState::Healed), "{gaps:?}");
    let minutes = store.all(&kraken(), Timeframe::M1).await;
    assert!(minutes[1..].iter().all(|candle| candle.is_complete), "{minutes:?}");
    let events = store.pending().await.split_off(published);
    let minute = |event: &kennel_core::Event| event.decode::<CandleChanged>().unwrap().unwrap().0;
    let repaired: Vec<_> = events.iter().map(minute).filter(|candle| candle.volume == "0.00000006").collect();
    assert!(repaired.len() >= 3, "the new revisions are published");
    // A member that had the book in memory continues with what is stored.
    handle(&member, &[trade(&kraken(), 100 + MINUTES * EACH, MINUTES * 60, "100")]).await;
    assert_eq!(store.all(&kraken(), Timeframe::M1).await.len(), usize::try_from(MINUTES + 1).unwrap());
}

pub(crate) async fn a_minute_that_its_trades_do_not_explain_stays_as_it_is(store: &Store) {
    let all = trades();
    handle_all(store, &all).await;
    let before = bars(store).await;
    let mut wrong = klines(&all);
    wrong[3].volume = "1".parse().unwrap();
    // The venue has no candle where there is one.
    wrong.remove(9);
    let (summary, found) = audit(store, History::new(all.clone(), wrong), true).await;
    assert_eq!((summary.different, summary.repaired), (2, 0));
    let reasons: Vec<_> =
        found.iter().map(|(minute, _, repair)| (*minute, repair.clone().unwrap().unwrap_err())).collect();
    let reason = "the venue's trades do not add up to its candle".to_owned();
    assert_eq!(reasons, [(3, reason.clone()), (9, reason)]);
    assert_eq!(bars(store).await, before);
}

/// A candle's values, and what it says about itself.
type Values = BTreeMap<Window, (Bar, bool, bool)>;

/// Trades every half minute, from before noon until after midnight. Some are lost: around the end of a candle of five minutes, of
/// one of an hour and of a day.
pub(crate) async fn a_repair_completes_every_window_that_missed_a_trade(store: &Store) {
    const EVERY: i64 = 30;
    let at = |hour: i64, minute: i64, second: i64| (hour * 60 + minute) * 60 + second;
    let times = (at(11, 40, 0)..at(24, 20, 0)).step_by(usize::try_from(EVERY).unwrap());
    let all: Vec<_> =
        times.zip(100..).map(|(seconds, id)| trade(&kraken(), id, seconds, &format!("{}", id % 17 + 1))).collect();
    let outages = [(at(12, 4, 30), at(12, 5, 30)), (at(12, 58, 30), at(13, 1, 30)), (at(23, 58, 30), at(24, 1, 30))];
    let is_lost = |trade: &&Trade| {
        let seconds = (trade.time.0 - START) / Micros::SECOND;
        outages.iter().any(|(from, to)| (*from..*to).contains(&seconds))
    };
    let received: Vec<_> = all.iter().filter(|trade| !is_lost(trade)).cloned().collect();
    handle(&handler(store), &received).await;
    let (summary, found) = audit(store, History::new(all.clone(), klines(&all)), true).await;
    assert_eq!((summary.different, summary.repaired), (10, 10), "{found:?}");
    let whole = first_change(&all).candles.into_iter();
    let expected: Values =
        whole.map(|candle| (candle.key.window, (candle.bar, candle.is_final, candle.is_complete))).collect();
    let mut stored = Values::new();
    for timeframe in Timeframe::ALL {
        let candles = store.all(&kraken(), timeframe).await.into_iter();
        stored.extend(candles.map(|candle| (candle.key.window, (candle.bar, candle.is_final, candle.is_complete))));
    }
    let wrong: Vec<_> = stored.iter().filter(|(window, values)| expected.get(window) != Some(values)).collect();
    assert!(wrong.is_empty() && stored.len() == expected.len(), "{wrong:?}");
}

pub(crate) async fn only_what_the_venue_can_still_tell_is_compared(store: &Store) {
    let all = trades();
    handle_all(store, &all).await;
    let minute = |n: i64| Micros(START + n * Timeframe::M1.micros());
    // The venue has forgotten the first minutes.
    let has: Vec<_> = klines(&all).into_iter().filter(|kline| kline.open_time >= minute(4)).collect();
    let history = || History { since: minute(4), ..History::new(all.clone(), has.clone()) };
    let (summary, found) = audit(store, history(), false).await;
    assert_eq!((summary.compared, summary.different), (7, 0), "{found:?}");
    let (summary, found) = audit_to(store, history(), Some(Micros(minute(6).0 + 1)), false).await;
    assert_eq!((summary.compared, summary.different), (2, 0), "{found:?}");
    // The newest minutes may still change at the venue.
    let (summary, _) = audit_to(store, history(), Some(minute(100)), false).await;
    assert_eq!(summary.compared, 7);
}

pub(crate) async fn a_venue_that_refuses_requests_is_left_alone(store: &Store) {
    let all = trades();
    handle_all(store, &all).await;
    for minute in [3, 5, 7] {
        corrupt(store, minute).await;
    }
    let history = Arc::new(History { refuses: true, ..History::new(all.clone(), klines(&all)) });
    let mut reasons = Vec::new();
    let report = |finding: Finding| reasons.push(finding.repair.unwrap().unwrap_err().to_string());
    let error = auditor(store, &history).run(&scope(None, true), report).await.unwrap_err();
    assert!(matches!(error, AuditError::Paused), "{error}");
    assert_eq!((history.refused.load(Ordering::Relaxed), reasons.len()), (1, 1), "{reasons:?}");
}

async fn handle_all(store: &Store, trades: &[Trade]) {
    let member = handler(store);
    for trade in trades {
        handle(&member, std::slice::from_ref(trade)).await;
    }
}
