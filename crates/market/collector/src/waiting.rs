//! Trades that wait for those that are missing before them.

use std::collections::BTreeMap;

use market_domain::{Missing, Symbol, Trade};
use tokio::time::Instant;

/// Maximum number of waiting trades of all symbols.
const MAX_TRADES: usize = 4_000;

/// The symbols whose trades wait, so that those of a symbol are published in the order of their ids. The others do not wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    symbols: BTreeMap<Symbol, Wait>,
    trades: usize,
}

#[derive(Debug)]
struct Wait {
    /// What is missing before the first trade.
    missing: Missing,
    /// When the trades stop waiting.
    until: Instant,
    trades: Vec<Trade>,
}

impl Waiting {
    /// Whether trades of the symbol wait.
    pub(crate) fn has(&self, symbol: &Symbol) -> bool {
        self.symbols.contains_key(symbol)
    }

    /// Lets trades of a symbol wait until this time.
    pub(crate) fn start(&mut self, symbol: Symbol, missing: Missing, until: Instant, trades: Vec<Trade>) {
        self.trades += trades.len();
        self.symbols.insert(symbol, Wait { missing, until, trades });
    }

    /// Adds a trade if its symbol waits; returns it otherwise, and if it is the first missing one.
    pub(crate) fn add(&mut self, trade: Trade) -> Option<Trade> {
        let Some(wait) = self.symbols.get_mut(&trade.instrument.symbol) else { return Some(trade) };
        if trade.id == wait.missing.from {
            wait.missing = Missing { from: trade.id + 1, after: trade.time, ..wait.missing };
            return Some(trade);
        }
        self.trades += 1;
        wait.trades.push(trade);
        None
    }

    /// Less is missing than before.
    pub(crate) fn narrow(&mut self, symbol: &Symbol, missing: Missing) {
        if let Some(wait) = self.symbols.get_mut(symbol) {
            wait.missing = missing;
        }
    }

    /// Whether nothing is missing any more for which trades of the symbol wait.
    pub(crate) fn is_over(&self, symbol: &Symbol) -> bool {
        self.symbols.get(symbol).is_some_and(|wait| wait.missing.from > wait.missing.to)
    }

    /// What is missing for those that have waited for longest.
    pub(crate) fn first(&self) -> Option<(&Symbol, Missing)> {
        let first = self.symbols.iter().min_by_key(|(_, wait)| wait.until)?;
        Some((first.0, first.1.missing))
    }

    /// When the first ones stop waiting.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.symbols.values().map(|wait| wait.until).min()
    }

    /// When the trades of the symbol stop waiting.
    pub(crate) fn until_of(&self, symbol: &Symbol) -> Option<Instant> {
        self.symbols.get(symbol).map(|wait| wait.until)
    }

    /// A symbol whose trades have waited for long enough, or for too many others.
    pub(crate) fn expired(&self, now: Instant) -> Option<Symbol> {
        let (symbol, wait) = self.symbols.iter().min_by_key(|(_, wait)| wait.until)?;
        (wait.until <= now || self.trades >= MAX_TRADES).then(|| symbol.clone())
    }

    /// Any symbol whose trades wait.
    pub(crate) fn any(&self) -> Option<Symbol> {
        self.symbols.keys().next().cloned()
    }

    /// Ends the wait of a symbol; returns its trades, in the order of their ids.
    pub(crate) fn end(&mut self, symbol: &Symbol) -> Vec<Trade> {
        let mut trades = self.symbols.remove(symbol).map(|wait| wait.trades).unwrap_or_default();
        self.trades -= trades.len();
        trades.sort_by_key(|trade| trade.id);
        trades
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use market_domain::{Decimal, Instrument, Micros, Venue};

    use super::*;

    fn trade(symbol: &str, id: i64) -> Trade {
        let instrument = Instrument { venue: Venue::Kraken, symbol: symbol.parse().unwrap() };
        let (price, size) = (Decimal::ZERO, Decimal::ZERO);
        Trade { instrument, id, price, size, taker: None, time: Micros(id), received: Micros(id) }
    }

    fn missing(from: i64, to: i64) -> Missing {
        Missing { from, to, after: Micros(0), before: Micros(100) }
    }

    #[test]
    fn trades_of_a_symbol_wait_and_come_back_in_order() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let [btc, eth] = ["BTC-USD", "ETH-USD"].map(|symbol| symbol.parse::<Symbol>().unwrap());
        waiting.start(btc.clone(), missing(5, 6), now + Duration::from_secs(10), vec![trade("BTC-USD", 7)]);
        assert_eq!(waiting.add(trade("ETH-USD", 1)).map(|trade| trade.id), Some(1), "it does not wait");
        assert_eq!((waiting.add(trade("BTC-USD", 9)), waiting.add(trade("BTC-USD", 8))), (None, None));
        // What was only late needs no request.
        assert_eq!(waiting.add(trade("BTC-USD", 5)).map(|trade| trade.id), Some(5));
        assert!(!waiting.is_over(&btc) && waiting.first().unwrap().1.from == 6);
        assert_eq!(waiting.add(trade("BTC-USD", 6)).map(|trade| trade.id), Some(6));
        assert!(waiting.is_over(&btc) && !waiting.is_over(&eth));
        assert_eq!(waiting.end(&btc).iter().map(|trade| trade.id).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!((waiting.first(), waiting.trades, waiting.until()), (None, 0, None));
        assert_eq!(waiting.end(&btc), []);
    }

    #[test]
    fn the_wait_ends_after_a_time_or_with_too_many_trades() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let btc: Symbol = "BTC-USD".parse().unwrap();
        let until = now + Duration::from_secs(10);
        waiting.start(btc.clone(), missing(5, 6), until, Vec::new());
        assert_eq!((waiting.expired(now), waiting.expired(until)), (None, Some(btc.clone())));
        for id in 0..4_000 {
            assert_eq!(waiting.expired(now), None);
            waiting.add(trade("BTC-USD", 10 + id));
        }
        assert_eq!(waiting.expired(now), Some(btc));
    }
}
