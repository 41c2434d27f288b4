//! The trades that happened.

use std::collections::{BTreeMap, VecDeque};

use market_domain::{Decimal, Instrument, Micros, Side, Trade};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Number of trades of an instrument that can be read later.
const HISTORY: usize = 200_000;
/// Number of trades at the end of a limited run that have no faults.
const LAST: u64 = 20;
/// The first id.
const FIRST_ID: i64 = 1_001;

/// The trades of every instrument, drawn from a seed. An instrument's trades depend on the seed, its name and the start only.
#[derive(Debug)]
pub struct Ledger {
    markets: BTreeMap<Instrument, Market>,
    /// Maximum number of trades of each instrument.
    limit: u64,
}

#[derive(Debug)]
struct Market {
    random: StdRng,
    trades: VecDeque<Trade>,
    /// The next trade, which has not happened yet.
    next: Trade,
    count: u64,
    interval: i64,
    /// The price in cents.
    cents: i128,
}

impl Ledger {
    /// A ledger without trades. The trades of each instrument are `interval` microseconds apart on average.
    pub fn new(instruments: &[Instrument], seed: u64, start: Micros, interval: i64, limit: u64) -> Self {
        let market = |instrument: &Instrument| {
            // FNV-1a, so that every instrument has trades of its own.
            let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            let name = instrument.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, hash);
            let mut random = StdRng::seed_from_u64(seed ^ name);
            let cents = i128::from(random.random_range(100_000..10_000_000));
            let next = Trade {
                instrument: instrument.clone(),
                id: FIRST_ID - 1,
                price: Decimal::ZERO,
                size: Decimal::ZERO,
                taker: None,
                time: start,
                received: start,
            };
            let mut market = Market { random, trades: VecDeque::new(), next, count: 0, interval, cents };
            market.draw();
            (instrument.clone(), market)
        };
        Self { markets: instruments.iter().map(market).collect(), limit: if limit == 0 { u64::MAX } else { limit } }
    }

    /// Lets everything happen until `time`.
    pub fn advance(&mut self, time: Micros) {
        for market in self.markets.values_mut() {
            while market.count < self.limit && market.next.time <= time {
                market.happen();
            }
        }
    }

    /// The instruments.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.markets.keys()
    }

    /// The highest id of an instrument's trades; one below the first if there are none.
    pub fn last_id(&self, instrument: &Instrument) -> i64 {
        self.markets.get(instrument).map_or(0, |market| market.next.id - 1)
    }

    /// Whether this is one of the last trades. They have no faults: no later trade would show them.
    pub fn is_near_end(&self, id: i64) -> bool {
        u64::try_from(id - FIRST_ID).is_ok_and(|index| index.saturating_add(LAST) >= self.limit)
    }

    /// Whether the last trade has happened.
    pub fn is_finished(&self) -> bool {
        self.markets.values().all(|market| market.count >= self.limit)
    }

    /// At most `limit` trades with ids from `from` to `to`, the oldest first.
    pub fn between(&self, instrument: &Instrument, from: i64, to: i64, limit: usize) -> Vec<Trade> {
        let Some(market) = self.markets.get(instrument) else { return Vec::new() };
        let start = market.trades.partition_point(|trade| trade.id < from);
        market.trades.range(start..).take_while(|trade| trade.id <= to).take(limit).cloned().collect()
    }

    /// At most `limit` trades with ids below `below`, the newest first.
    pub fn before(&self, instrument: &Instrument, below: i64, limit: usize) -> Vec<Trade> {
        let Some(market) = self.markets.get(instrument) else { return Vec::new() };
        let end = market.trades.partition_point(|trade| trade.id < below);
        market.trades.range(..end).rev().take(limit).cloned().collect()
    }

    /// At most `limit` trades after `time`, the oldest first.
    pub fn since(&self, instrument: &Instrument, time: Micros, limit: usize) -> Vec<Trade> {
        let Some(market) = self.markets.get(instrument) else { return Vec::new() };
        let start = market.trades.partition_point(|trade| trade.time <= time);
        market.trades.range(start..).take(limit).cloned().collect()
    }
}

impl Market {
    fn happen(&mut self) {
        if self.trades.len() == HISTORY {
            self.trades.pop_front();
        }
        self.trades.push_back(self.next.clone());
        self.count += 1;
        self.draw();
    }

    /// Draws the next trade: some have the time of the one before, as at a real exchange.
    fn draw(&mut self) {
        let random = &mut self.random;
        let pause = if random.random_range(0..5) == 0 { 0 } else { random.random_range(0..self.interval * 5 / 2) };
        self.cents = (self.cents + random.random_range(-50..=50)).max(1);
        self.next.id += 1;
        self.next.time.0 += pause;
        self.next.price = Decimal::new(self.cents, 2).unwrap_or_default();
        self.next.size = Decimal::new(random.random_range(1..500_000_000), 8).unwrap_or_default();
        self.next.taker = Some(if random.random_bool(0.5) { Side::Buy } else { Side::Sell });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use market_domain::Venue;

    use super::*;

    /// A ledger with this many trades of one instrument.
    pub(crate) fn ledger(trades: u64) -> (Ledger, Instrument) {
        let instrument = Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() };
        let mut ledger =
            Ledger::new(std::slice::from_ref(&instrument), 7, Micros(1_700_000_000_000_000), 1_000_000, trades);
        ledger.advance(Micros(i64::MAX));
        (ledger, instrument)
    }

    #[test]
    fn trades_depend_on_the_seed_and_not_on_the_steps() {
        let (whole, instrument) = ledger(1_000);
        let mut steps =
            Ledger::new(std::slice::from_ref(&instrument), 7, Micros(1_700_000_000_000_000), 1_000_000, 1_000);
        for step in 0..2_000 {
            steps.advance(Micros(1_700_000_000_000_000 + step * 1_000_000));
        }
        assert!(
            steps.is_finished() && steps.is_near_end(2_000) && steps.is_near_end(1_981) && !steps.is_near_end(1_980)
        );
        let all = |ledger: &Ledger| ledger.between(&instrument, 0, i64::MAX, usize::MAX);
        assert_eq!(all(&steps), all(&whole));
        assert_eq!(all(&whole).len(), 1_000);
        assert!(all(&whole).windows(2).all(|pair| pair[1].id == pair[0].id + 1 && pair[1].time >= pair[0].time));
    }

    #[test]
    fn trades_are_read_as_each_venue_lists_them() {
        let (ledger, instrument) = ledger(100);
        let ids = |trades: Vec<Trade>| trades.into_iter().map(|trade| trade.id).collect::<Vec<_>>();
        assert_eq!(ledger.last_id(&instrument), 1_100);
        assert_eq!(ids(ledger.between(&instrument, 1_098, 1_200, 10)), [1_098, 1_099, 1_100]);
        assert_eq!(ids(ledger.between(&instrument, 0, 1_200, 2)), [1_001, 1_002]);
        assert_eq!(ids(ledger.before(&instrument, 1_004, 2)), [1_003, 1_002]);
        let time = ledger.between(&instrument, 1_050, 1_050, 1)[0].time;
        assert!(ledger.since(&instrument, time, 1_000).iter().all(|trade| trade.time > time));
    }
}
