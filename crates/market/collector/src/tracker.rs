//! Which trades of a venue were published.

use std::collections::HashMap;

use market_domain::{Continuity, GapState, Micros, Missing, Seen, Symbol, Trade};

/// How long missing trades are asked for, in microseconds of event time. The preprocessor gives up later.
const HOLD: i64 = 30 * Micros::SECOND;

/// The ids of the symbols of one venue.
#[derive(Debug, Default)]
pub(crate) struct Tracker(HashMap<Symbol, Continuity>);

impl Tracker {
    /// Continues a symbol that is not known yet.
    pub(crate) fn resume(&mut self, symbol: Symbol, last: i64, time: Micros, missing: &[Missing]) {
        self.0.entry(symbol).or_insert_with(|| Continuity::resume(last, time, missing));
    }

    /// What is missing before a trade of this symbol and id, which may be one that was not received.
    pub(crate) fn missing_before(&self, symbol: &Symbol, id: i64, time: Micros) -> Option<Missing> {
        let known = self.0.get(symbol)?;
        let missing = Missing { from: known.last() + 1, to: id - 1, after: known.latest(), before: time };
        (missing.from <= missing.to).then_some(missing)
    }

    /// What may have happened after the last trade of a symbol.
    pub(crate) fn after_last(&self, symbol: &Symbol) -> Option<Missing> {
        let known = self.0.get(symbol)?;
        let (after, before) = (known.latest(), Micros(i64::MAX));
        Some(Missing { from: known.last() + 1, to: Missing::UNKNOWN, after, before })
    }

    /// Records a trade. Returns whether it is new.
    pub(crate) fn observe(&mut self, trade: &Trade) -> bool {
        let Some(known) = self.0.get_mut(&trade.instrument.symbol) else {
            let start = Continuity::start(trade.id, trade.time);
            self.0.insert(trade.instrument.symbol.clone(), start);
            return true;
        };
        known.observe(trade.id, trade.time) != Seen::Duplicate
    }

    /// What is still missing and asked for.
    pub(crate) fn open(&mut self) -> Vec<(Symbol, Missing)> {
        let mut open = Vec::new();
        for (symbol, known) in &mut self.0 {
            for gap in known.give_up(HOLD) {
                tracing::warn!(%symbol, from = gap.whole.from, missing = gap.count(), "missing trades are given up");
            }
            let gaps = known.gaps().iter().filter(|gap| gap.state == GapState::Open);
            open.extend(gaps.flat_map(|gap| gap.missing.clone()).map(|missing| (symbol.clone(), missing)));
        }
        open
    }

    /// The latest time of a trade of the symbol.
    pub(crate) fn latest(&self, symbol: &Symbol) -> Option<Micros> {
        self.0.get(symbol).map(Continuity::latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_domain::{Decimal, Instrument, Venue};

    fn trade(id: i64, time: i64) -> Trade {
        let instrument = Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() };
        let (price, size) = (Decimal::ZERO, Decimal::ZERO);
        Trade { instrument, id, price, size, taker: None, time: Micros(time), received: Micros(time) }
    }

    #[test]
    fn what_is_missing_is_known_before_a_trade_is_recorded() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let mut tracker = Tracker::default();
        assert_eq!(tracker.missing_before(&symbol, 7, Micros(70)), None, "it starts with its first trade");
        assert!(tracker.observe(&trade(7, 70)) && !tracker.observe(&trade(7, 70)));
        assert_eq!(tracker.missing_before(&symbol, 8, Micros(80)), None);
        let missing = tracker.missing_before(&symbol, 10, Micros(100)).unwrap();
        assert_eq!((missing.from, missing.to, missing.after, missing.before), (8, 9, Micros(70), Micros(100)));
        assert!(tracker.observe(&trade(10, 100)));
        assert_eq!(tracker.open(), [(symbol.clone(), missing)]);
        assert!(tracker.observe(&trade(9, 90)));
        assert_eq!(tracker.open()[0].1.to, 8);
        // It is asked for only for a time, and accepted later.
        assert!(tracker.observe(&trade(11, 100 + HOLD + 1)));
        assert_eq!(tracker.open(), []);
        assert!(tracker.observe(&trade(8, 80)));
        assert_eq!(tracker.after_last(&symbol).unwrap().from, 12);
    }

    #[test]
    fn a_known_position_does_not_replace_what_was_seen() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let mut tracker = Tracker::default();
        tracker.resume(symbol.clone(), 5, Micros(50), &[]);
        tracker.resume(symbol.clone(), 3, Micros(30), &[]);
        assert_eq!(tracker.missing_before(&symbol, 7, Micros(70)).unwrap().from, 6);
    }
}
