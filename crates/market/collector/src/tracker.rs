//! Which trades of a venue were published.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kennel_core::Backoff;
use market_domain::{Continuity, Micros, Missing, Seen, Symbol, Trade};
use tokio::time::Instant;

/// The pause between two requests for the same missing trades.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));
/// Missing trades are given up when the venue did not have them for this long, and in so many answers.
const GIVE_UP_AFTER: Duration = Duration::from_hours(1);
const GIVE_UP_ANSWERS: u32 = 5;

/// The ids of the symbols of one venue.
#[derive(Debug, Default)]
pub(crate) struct Tracker(HashMap<Symbol, Known>);

/// What is known about one symbol.
#[derive(Debug)]
struct Known {
    ids: Continuity,
    /// The gaps that were asked for, by their first id.
    asked: BTreeMap<i64, Asked>,
}

/// How often a gap was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    since: Instant,
    requests: u32,
    /// How many answers had nothing that is missing, since one had.
    empty: u32,
    /// When to ask again.
    next: Instant,
}

/// Missing trades that are to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) symbol: Symbol,
    pub(crate) missing: Missing,
    /// The first id of their gap.
    gap: i64,
}

impl Known {
    const fn new(ids: Continuity) -> Self {
        Self { ids, asked: BTreeMap::new() }
    }
}

impl Tracker {
    /// Continues a symbol. If it had trades already, what is known of those before them is added.
    pub(crate) fn resume(&mut self, symbol: Symbol, last: i64, time: Micros, missing: &[Missing]) {
        match self.0.entry(symbol) {
            Entry::Occupied(mut known) => known.get_mut().ids.precede(last, time, missing),
            Entry::Vacant(unknown) => {
                unknown.insert(Known::new(Continuity::resume(last, time, missing)));
            }
        }
    }

    /// Forgets the symbols that are not these.
    pub(crate) fn retain(&mut self, is_own: impl Fn(&Symbol) -> bool) {
        self.0.retain(|symbol, _| is_own(symbol));
    }

    /// What is missing before a trade of this symbol and id, which may be one that was not received.
    pub(crate) fn missing_before(&self, symbol: &Symbol, id: i64, time: Micros) -> Option<Missing> {
        let known = &self.0.get(symbol)?.ids;
        let missing = Missing { from: known.last() + 1, to: id - 1, after: known.latest(), before: time };
        (missing.from <= missing.to).then_some(missing)
    }

    /// What may have happened after the last trade of a symbol.
    pub(crate) fn after_last(&self, symbol: &Symbol) -> Option<Missing> {
        let known = &self.0.get(symbol)?.ids;
        let (after, before) = (known.latest(), Micros(i64::MAX));
        Some(Missing { from: known.last() + 1, to: Missing::UNKNOWN, after, before })
    }

    /// Records a trade. Returns whether it is new.
    pub(crate) fn observe(&mut self, trade: &Trade) -> bool {
        let Some(known) = self.0.get_mut(&trade.instrument.symbol) else {
            let start = Continuity::start(trade.id, trade.time);
            self.0.insert(trade.instrument.symbol.clone(), Known::new(start));
            return true;
        };
        known.ids.observe(trade.id, trade.time) != Seen::Duplicate
    }

    /// What to ask for next: first what was not asked for yet.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        let mut first: Option<(Option<Instant>, Due)> = None;
        for (symbol, known) in &self.0 {
            for gap in known.ids.gaps() {
                let asked = known.asked.get(&gap.whole.from);
                let next = asked.map(|asked| asked.next);
                let is_earlier = first.as_ref().is_none_or(|(earliest, _)| next < *earliest);
                if is_earlier && next.is_none_or(|next| next <= now) {
                    // The venue may have only some of several ranges.
                    let turn = asked.map_or(0, |asked| asked.requests as usize) % gap.missing.len().max(1);
                    let Some(missing) = gap.missing.get(turn) else { continue };
                    first = Some((next, Due { symbol: symbol.clone(), missing: *missing, gap: gap.whole.from }));
                }
            }
        }
        first.map(|(_, due)| due)
    }

    /// Records that missing trades were asked for, and how many were found; `None` if there was no answer. Returns whether
    /// the gap is given up: it is forgotten.
    pub(crate) fn asked(&mut self, due: &Due, found: Option<usize>, now: Instant) -> bool {
        let Some(known) = self.0.get_mut(&due.symbol) else { return false };
        let Some(gap) = known.ids.gaps().iter().find(|gap| gap.whole.from == due.gap) else {
            known.asked.remove(&due.gap);
            return false;
        };
        let new = Asked { since: now, requests: 0, empty: 0, next: now };
        let asked = known.asked.entry(due.gap).or_insert(new);
        asked.requests = asked.requests.saturating_add(1);
        match found {
            Some(1..) => *asked = new,
            Some(0) => asked.empty += 1,
            None => {}
        }
        if asked.empty >= GIVE_UP_ANSWERS && now.duration_since(asked.since) >= GIVE_UP_AFTER {
            tracing::warn!(symbol = %due.symbol, from = due.gap, missing = gap.count(), "missing trades are given up");
            known.asked.remove(&due.gap);
            known.ids.dismiss(due.gap);
            return true;
        }
        if found.is_none_or(|found| found == 0) {
            asked.next = now + BACKOFF.delay(asked.requests);
        }
        false
    }

    /// The latest time of a trade of the symbol.
    pub(crate) fn latest(&self, symbol: &Symbol) -> Option<Micros> {
        self.0.get(symbol).map(|known| known.ids.latest())
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
        let now = Instant::now();
        assert_eq!(tracker.due(now).unwrap().missing, missing);
        assert!(tracker.observe(&trade(9, 90)));
        assert_eq!(tracker.due(now).unwrap().missing.to, 8);
        // However much later other trades are, it is asked for.
        assert!(tracker.observe(&trade(11, i64::MAX / 2)));
        assert_eq!(tracker.due(now).unwrap().missing.to, 8);
        assert!(tracker.observe(&trade(8, 80)));
        assert_eq!(tracker.due(now), None);
        assert_eq!(tracker.after_last(&symbol).unwrap().from, 12);
    }

    #[test]
    fn missing_trades_are_given_up_after_answers_without_them_for_a_time() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let mut tracker = Tracker::default();
        let missing = Missing { from: 3, to: 6, after: Micros(20), before: Micros(70) };
        tracker.resume(symbol.clone(), 9, Micros(i64::MAX / 2), &[missing]);
        let mut now = Instant::now();
        let due = tracker.due(now).unwrap();
        assert!(!tracker.asked(&due, Some(0), now));
        assert_eq!(tracker.due(now), None, "there is a pause");
        // Requests without an answer do not count.
        for _ in 0..20 {
            now += GIVE_UP_AFTER;
            assert!(!tracker.asked(&tracker.due(now).unwrap(), None, now));
        }
        // What was found starts the time again, and more is asked for at once.
        now += GIVE_UP_AFTER;
        assert!(tracker.observe(&trade(4, 40)) && !tracker.asked(&due, Some(1), now));
        let mut ranges = Vec::new();
        for answer in 1..=GIVE_UP_ANSWERS {
            let due = tracker.due(now).unwrap();
            ranges.push(due.missing.from);
            assert_eq!(tracker.asked(&due, Some(0), now), answer == GIVE_UP_ANSWERS);
            now += GIVE_UP_AFTER / 4;
        }
        assert_eq!(ranges, [3, 5, 3, 5, 3], "every range has its turn");
        assert_eq!(tracker.due(now + GIVE_UP_AFTER), None);
        let known = &tracker.0[&symbol];
        assert!(known.ids.gaps().is_empty() && known.asked.is_empty(), "nothing of it stays in memory");
    }

    #[test]
    fn what_is_known_later_is_asked_for_too() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let mut tracker = Tracker::default();
        assert!(tracker.observe(&trade(20, 200)));
        tracker.resume(symbol, 15, Micros(150), &[]);
        let due = tracker.due(Instant::now()).unwrap();
        assert_eq!((due.missing.from, due.missing.to), (16, 19));
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
