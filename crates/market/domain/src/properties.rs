//! Properties of books, on random trades, and the fixtures of the other tests.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::{
    Applied, Bar, Book, BookState, Candle, Decimal, GapState, Instrument, Micros, Refusal, Side, Timeframe, Trade,
    Venue, Window,
};

const HOLD: i64 = 60 * Micros::SECOND;
/// The first trade is at the start of a day.
const START: i64 = 20_000 * 24 * 3600 * Micros::SECOND;

fn instrument() -> Instrument {
    Instrument { venue: Venue::Binance, symbol: "BTC-USDT".parse().unwrap() }
}

/// A trade that was received at once.
pub(crate) fn trade(id: i64, time: i64, price: &str, size: &str) -> Trade {
    let [price, size] = [price, size].map(|text| text.parse().unwrap());
    let taker = Some(if id % 2 == 0 { Side::Buy } else { Side::Sell });
    Trade { instrument: instrument(), id, price, size, taker, time: Micros(time), received: Micros(time) }
}

/// Trades with ids from 1,000, of which several may have one time.
fn trades(random: &mut StdRng, count: i64) -> Vec<Trade> {
    let mut time = START;
    let each = (0..count).map(|index| {
        time += random.random_range(0..30) * random.random_range(0..2) * Micros::SECOND;
        let (price, size) = (random.random_range(1..10_000_000), random.random_range(1..1_000_000_000));
        let mut trade = trade(1_000 + index, time, "1", "1");
        (trade.price, trade.size) = (Decimal::new(price, 2).unwrap(), Decimal::new(size, 8).unwrap());
        trade
    });
    each.collect()
}

/// A store of candles, and a book of which only what was stored survives each batch.
struct Shop {
    candles: BTreeMap<Window, Candle>,
    gaps: BTreeMap<i64, crate::Gap>,
    state: String,
}

impl Shop {
    fn new() -> Self {
        let state = serde_json::to_string(&BookState::default()).unwrap();
        Self { candles: BTreeMap::new(), gaps: BTreeMap::new(), state }
    }

    /// Applies trades one by one, and restarts after each `batch` of them.
    fn apply(&mut self, trades: &[Trade], batch: usize) {
        for trades in trades.chunks(batch) {
            let mut book = Book::new(instrument(), serde_json::from_str(&self.state).unwrap(), HOLD);
            for trade in trades {
                for (first, last) in book.needed(trade) {
                    let stored = self.candles.range(first..=last).map(|(_, candle)| candle.clone()).collect();
                    book.load((first, last), stored);
                }
                book.apply(trade).unwrap();
            }
            let changes = book.take_changes();
            for candle in changes.candles {
                let old = self.candles.insert(candle.key.window, candle.clone());
                assert_eq!(candle.revision, old.map_or(1, |old| old.revision + 1));
            }
            self.gaps.extend(changes.gaps.into_iter().map(|gap| (gap.whole.from, gap)));
            self.state = serde_json::to_string(book.state()).unwrap();
        }
    }

    fn bars(&self) -> BTreeMap<Window, Bar> {
        self.candles.iter().map(|(window, candle)| (*window, candle.bar)).collect()
    }
}

/// The candles by their definition: all trades of a window, in the order of their ids.
fn expected(trades: &[Trade]) -> BTreeMap<Window, Bar> {
    let mut sorted: Vec<_> = trades.iter().collect();
    sorted.sort_by_key(|trade| trade.id);
    let mut windows = BTreeMap::<_, Vec<&Trade>>::new();
    for trade in sorted {
        for timeframe in Timeframe::ALL {
            windows.entry(Window::of(timeframe, trade.time)).or_default().push(trade);
        }
    }
    let sum = |values: &mut dyn Iterator<Item = Decimal>| {
        values.fold(Decimal::ZERO, |sum, value| sum.checked_add(value).unwrap())
    };
    let bar = |trades: &Vec<&Trade>| Bar {
        open: trades[0].price,
        high: trades.iter().map(|trade| trade.price).max().unwrap(),
        low: trades.iter().map(|trade| trade.price).min().unwrap(),
        close: trades[trades.len() - 1].price,
        volume: sum(&mut trades.iter().map(|trade| trade.size)),
        quote_volume: sum(&mut trades.iter().map(|trade| trade.price.checked_mul(trade.size).unwrap())),
        buy_volume: sum(&mut trades.iter().filter(|trade| trade.id % 2 == 0).map(|trade| trade.size)),
        trades: i64::try_from(trades.len()).unwrap(),
        first_id: trades[0].id,
        last_id: trades[trades.len() - 1].id,
    };
    windows.iter().map(|(window, trades)| (*window, bar(trades))).collect()
}

#[test]
fn candles_are_the_sums_of_their_trades() {
    let trades = trades(&mut StdRng::seed_from_u64(1), 500);
    let mut shop = Shop::new();
    shop.apply(&trades, 500);
    assert_eq!(shop.bars(), expected(&trades));
    let last = trades.last().unwrap().time;
    for (window, candle) in &shop.candles {
        assert_eq!(candle.is_final, window.end() <= last, "{window:?}");
        let is_first = *window == Window::of(window.timeframe, trades[0].time);
        assert_eq!(candle.is_complete, !is_first, "{window:?}");
    }
    assert!(shop.candles.values().filter(|candle| candle.is_final).count() > 50);
}

#[test]
fn any_order_with_doubles_and_restarts_gives_the_same_candles() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let trades = trades(&mut random, 120);
        let mut arrived = trades.clone();
        arrived.extend(trades.iter().filter(|_| random.random_bool(0.2)).cloned().collect::<Vec<_>>());
        arrived.shuffle(&mut random);
        let mut shop = Shop::new();
        shop.apply(&arrived, random.random_range(1..20));
        assert_eq!(shop.bars(), expected(&trades), "seed {seed}");
        assert!(shop.gaps.values().all(|gap| gap.state == GapState::Healed), "seed {seed}");
        let (first, last) = (trades[0].time, trades[119].time);
        for (window, candle) in &shop.candles {
            assert_eq!(candle.is_final, window.end() <= last, "seed {seed}, {window:?}");
            let is_first = window.open_time <= first;
            assert_eq!(candle.is_complete, !is_first, "seed {seed}, {window:?}");
        }
    }
}

#[test]
fn two_collectors_that_lose_different_trades_give_the_candles_of_all() {
    let mut random = StdRng::seed_from_u64(7);
    let trades = trades(&mut random, 400);
    let mut seen = [0; 2];
    let mut merged = Vec::new();
    for (index, trade) in trades.iter().enumerate() {
        let lost = random.random_range(0..10);
        for (collector, seen) in seen.iter_mut().enumerate() {
            if lost != collector {
                *seen += 1;
                // The second one is slower.
                merged.push((index + collector * 25, trade.clone()));
            }
        }
    }
    merged.sort_by_key(|(arrival, _)| *arrival);
    assert!(seen.iter().all(|seen| *seen < 400), "both have lost trades: {seen:?}");
    let mut shop = Shop::new();
    shop.apply(&merged.into_iter().map(|(_, trade)| trade).collect::<Vec<_>>(), 10);
    assert_eq!(shop.bars(), expected(&trades));
    assert!(shop.gaps.len() > 10 && shop.gaps.values().all(|gap| gap.state == GapState::Healed));
}

#[test]
fn what_stays_missing_is_not_complete_and_holds_candles_for_a_time() {
    let trades: Vec<_> = (0..40).map(|n| trade(n, START + n * 10 * Micros::SECOND, "1", "1")).collect();
    // Two trades of the third minute are missing.
    let (missing, rest): (Vec<_>, Vec<_>) = trades.iter().cloned().partition(|trade| matches!(trade.id, 14 | 15));
    let mut shop = Shop::new();
    let minute = |n: i64| Window::of(Timeframe::M1, Micros(START + n * 60 * Micros::SECOND));
    shop.apply(&rest[..21], 1);
    assert!(shop.candles[&minute(1)].is_final && !shop.candles[&minute(2)].is_final, "waits for the gap");
    shop.apply(&rest[21..], 1);
    let candle = shop.candles[&minute(2)].clone();
    assert_eq!((candle.is_final, candle.is_complete, candle.bar.trades), (true, false, 4));
    assert_eq!(shop.gaps[&14].state, GapState::GivenUp);
    assert!(shop.candles[&minute(3)].is_complete);
    // Late trades raise the revision of a final candle.
    shop.apply(&missing, 1);
    let healed = &shop.candles[&minute(2)];
    assert!(healed.is_final && healed.is_complete && healed.revision > candle.revision);
    assert_eq!((shop.gaps[&14].state, shop.bars()), (GapState::Healed, expected(&trades)));
}

#[test]
fn a_gap_over_several_windows_completes_them_all_when_it_heals() {
    let trades: Vec<_> = (0..30).map(|n| trade(n, START + n * 20 * Micros::SECOND, "1", "1")).collect();
    let (missing, rest): (Vec<_>, Vec<_>) = trades.iter().cloned().partition(|trade| (8..=16).contains(&trade.id));
    let mut shop = Shop::new();
    shop.apply(&rest, 3);
    let incomplete = |shop: &Shop| {
        let minutes = shop.candles.iter().filter(|(window, _)| window.timeframe == Timeframe::M1);
        minutes.filter(|(_, candle)| !candle.is_complete).count()
    };
    // The first minute, and the two that exist around the gap.
    assert_eq!(incomplete(&shop), 3);
    shop.apply(&missing, 4);
    assert_eq!(incomplete(&shop), 1);
    assert_eq!(shop.bars(), expected(&trades));
}

#[test]
fn a_minute_folds_exactly_into_every_longer_timeframe() {
    let trades = trades(&mut StdRng::seed_from_u64(3), 800);
    let bars = expected(&trades);
    for timeframe in Timeframe::ALL {
        let mut folded = BTreeMap::<Window, Bar>::new();
        let minutes = bars.iter().filter(|(window, _)| window.timeframe == Timeframe::M1);
        for (minute, bar) in minutes {
            let sum = folded.entry(Window::of(timeframe, minute.open_time));
            sum.and_modify(|sum| *sum = sum.merge(bar).unwrap()).or_insert(*bar);
        }
        let direct =
            bars.iter().filter(|(window, _)| window.timeframe == timeframe).map(|(window, bar)| (*window, *bar));
        assert_eq!(folded, direct.collect(), "{timeframe}");
    }
}

#[test]
fn a_trade_whose_totals_do_not_fit_changes_nothing() {
    let mut book = Book::new(instrument(), BookState::default(), HOLD);
    assert_eq!(book.apply(&trade(1, START, "1", "1")), Ok(Applied::New));
    book.take_changes();
    let state = book.state().clone();
    let nines = "9".repeat(30);
    assert_eq!(book.apply(&trade(2, START, &nines, &nines)), Err(Refusal::Overflow));
    assert_eq!(book.take_changes().candles.len(), 0);
    assert_eq!(book.state(), &state);
    assert_eq!(book.apply(&trade(1, START, "1", "1")), Ok(Applied::Duplicate));
}
