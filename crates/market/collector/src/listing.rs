//! The symbols of a venue that are collected now.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kennel_core::Backoff;
use market_domain::{Symbol, Venue};
use market_venues::{Symbols, adapter};
use prometheus::IntGauge;
use tokio::time::Instant;

/// After how long a symbol that the venue has refused is tried again.
const BACKOFF: Backoff = Backoff::new(Duration::from_mins(15), Duration::from_hours(24));

/// The configured symbols that this collector has, and which of them the venue has refused.
#[derive(Debug)]
pub(crate) struct Listing {
    configured: Vec<Symbol>,
    /// Those of other collectors.
    elsewhere: HashSet<Symbol>,
    refused: HashMap<Symbol, Refused>,
    /// The number of those.
    count: IntGauge,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    times: u32,
    until: Instant,
}

impl Listing {
    /// `count` shows how many symbols are refused.
    pub(crate) fn new(configured: Vec<Symbol>, count: IntGauge) -> Self {
        let listing = Self { configured, elsewhere: HashSet::new(), refused: HashMap::new(), count };
        listing.show();
        listing
    }

    fn show(&self) {
        self.count.set(i64::try_from(self.refused.len()).unwrap_or(i64::MAX));
    }

    /// Changes which symbols this collector has. The others are not refused when they come back.
    pub(crate) fn assign(&mut self, is_own: impl Fn(&Symbol) -> bool) {
        self.elsewhere = self.configured.iter().filter(|symbol| !is_own(symbol)).cloned().collect();
        self.refused.retain(|symbol, _| !self.elsewhere.contains(symbol));
        self.show();
    }

    /// Whether this collector has the symbol.
    pub(crate) fn has(&self, symbol: &Symbol) -> bool {
        self.configured.contains(symbol) && !self.elsewhere.contains(symbol)
    }

    /// The symbols to collect now.
    pub(crate) fn symbols(&self, venue: Venue, now: Instant) -> Symbols {
        let is_wanted =
            |symbol: &&Symbol| self.has(symbol) && self.refused.get(*symbol).is_none_or(|refused| refused.until <= now);
        Symbols::new(adapter(venue), self.configured.iter().filter(is_wanted).cloned())
    }

    /// Records that the venue does not have a symbol.
    pub(crate) fn refuse(&mut self, symbol: &Symbol, now: Instant) {
        let times = self.refused.get(symbol).map_or(1, |refused| refused.times.saturating_add(1));
        self.refused.insert(symbol.clone(), Refused { times, until: now + BACKOFF.delay(times) });
        self.show();
    }

    /// Records that the venue has a symbol.
    pub(crate) fn accept(&mut self, symbol: &Symbol) {
        self.refused.remove(symbol);
        self.show();
    }

    /// When a refused symbol is to be tried again.
    pub(crate) fn retry_at(&self, now: Instant) -> Option<Instant> {
        self.refused.values().map(|refused| refused.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_symbol_is_tried_again_after_longer_and_longer_pauses() {
        let [btc, eth] = ["BTC-USD", "ETH-USD"].map(|symbol| symbol.parse::<Symbol>().unwrap());
        let count = IntGauge::new("refused", "Refused symbols").unwrap();
        let mut listing = Listing::new(vec![btc.clone(), eth.clone()], count.clone());
        let mut now = Instant::now();
        assert_eq!((listing.symbols(Venue::Kraken, now).count(), listing.retry_at(now)), (2, None));
        let mut pauses = Vec::new();
        for _ in 0..3 {
            listing.refuse(&btc, now);
            assert_eq!(listing.symbols(Venue::Kraken, now).all(), std::slice::from_ref(&eth));
            let retry_at = listing.retry_at(now).unwrap();
            pauses.push(retry_at - now);
            now = retry_at;
            assert_eq!((listing.symbols(Venue::Kraken, now).count(), listing.retry_at(now)), (2, None));
        }
        assert_eq!(count.get(), 1, "also while it is tried again");
        assert!(pauses.is_sorted() && pauses[0] < pauses[2], "{pauses:?}");
        listing.assign(|symbol| *symbol == eth);
        assert!(!listing.has(&btc) && listing.symbols(Venue::Kraken, now).all() == std::slice::from_ref(&eth));
        assert_eq!(count.get(), 0, "another collector has it");
        listing.assign(|_| true);
        assert_eq!(listing.symbols(Venue::Kraken, now).count(), 2);
        listing.accept(&btc);
        listing.refuse(&btc, now);
        assert!(listing.retry_at(now).unwrap() - now < pauses[2]);
        assert_eq!(count.get(), 1);
    }
}
