//! The interface of a venue.

use std::collections::HashMap;
use std::time::Duration;

use market_domain::{Decimal, InvalidDecimal, Micros, Missing, Symbol, Trade};

/// What is known about a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Where its WebSocket is.
    pub stream_url: &'static str,
    /// Where its REST API is.
    pub rest_url: &'static str,
    /// How long a connection may be silent before it is considered dead.
    pub silence: Duration,
    /// How long the venue lets a connection live; it is replaced before that.
    pub lifetime: Option<Duration>,
    /// The pause between two connections, so that the limit of connections is not reached.
    pub reconnect_pause: Duration,
    /// The pause between two requests for missing trades, so that at most half of the limit of requests is used.
    pub request_pause: Duration,
    /// Maximum number of symbols of one connection.
    pub symbols: usize,
    /// The order of a page of trades.
    pub order: Order,
    /// Maximum number of candles of one response.
    pub klines: usize,
    /// How far back it has candles of one minute; without a limit if there is none.
    pub kline_age: Option<Duration>,
}

/// How long a venue wants no requests after a refusal that does not say it.
pub const LIMITED: Duration = Duration::from_secs(30);
/// How long it wants none after 418, by which Binance bans an address that did not heed 429.
pub const BANNED: Duration = Duration::from_mins(5);

/// How long a venue wants no requests after an answer with this status; `None` if it does not say so.
pub fn pause_after(status: u16, retry_after: Option<Duration>) -> Option<Duration> {
    match status {
        429 => Some(retry_after.unwrap_or(LIMITED)),
        418 => Some(retry_after.unwrap_or(BANNED)),
        _ => retry_after,
    }
}

/// A candle of one minute, as the venue itself computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kline {
    /// The start of its window.
    pub open_time: Micros,
    /// The first price.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The last price.
    pub close: Decimal,
    /// The sum of the sizes. Zero in a minute without trades, which some venues list too.
    pub volume: Decimal,
    /// The sum of the products of price and size, if the venue says it.
    pub quote_volume: Option<Decimal>,
    /// Number of trades, if the venue says it.
    pub trades: Option<i64>,
}

/// In which order pages of trades follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest missing trade first.
    Ascending,
    /// The newest missing trade first.
    Descending,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A trade happened.
    Trade(Trade),
    /// The connection is alive. Some venues say which trade of the symbol was the last one.
    Heartbeat(Option<(Symbol, i64)>),
    /// These symbols are subscribed to.
    Subscribed(Vec<Symbol>),
    /// The venue has refused a request.
    Refused(String),
    /// The venue is about to close the connection.
    ClosingSoon,
}

/// Why a frame or a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFrame {
    /// It is not the JSON that is expected.
    #[error("frame is not the expected json")]
    Json(#[from] serde_json::Error),
    /// A number is not a decimal that can be represented.
    #[error("number in the frame is invalid")]
    Decimal(#[from] InvalidDecimal),
    /// A time is not valid.
    #[error("time in the frame is invalid")]
    Time,
    /// A side is neither buy nor sell.
    #[error("side in the frame is unknown")]
    Side,
    /// A symbol that was not asked for.
    #[error("symbol in the frame was not asked for")]
    Symbol,
    /// The venue reports an error instead of a page.
    #[error("venue answered with an error: {0}")]
    Refused(String),
}

/// What venues write of too many requests.
const LIMITS: [&str; 4] = ["limit", "too many", "throttled", "lockout"];

impl InvalidFrame {
    /// Whether the venue refuses because of too many requests. Other refusals are about a single request.
    pub fn is_limit(&self) -> bool {
        let Self::Refused(answer) = self else { return false };
        let lower = answer.to_ascii_lowercase();
        LIMITS.iter().any(|limit| lower.contains(limit))
    }
}

/// What venues write of a symbol that they do not have.
const REFUSALS: [&str; 6] = ["not supported", "not a valid", "invalid", "unknown", "not found", "delisted"];

/// Number of trades of a full page.
const PAGE: usize = 1_000;

/// Symbols, found by how a venue spells them.
#[derive(Debug, Clone, Default)]
pub struct Symbols(HashMap<String, Symbol>);

impl Symbols {
    /// The symbols as `adapter` spells them.
    pub fn new(adapter: &dyn Adapter, symbols: impl IntoIterator<Item = Symbol>) -> Self {
        Self(symbols.into_iter().map(|symbol| (adapter.spell(&symbol), symbol)).collect())
    }

    /// The symbol with this spelling.
    pub fn find(&self, spelling: &str) -> Result<&Symbol, InvalidFrame> {
        self.0.get(spelling).ok_or(InvalidFrame::Symbol)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The symbols that a refusal names, if it says that the venue does not have them. Other refusals, such as those of
    /// limits, say nothing about a symbol.
    pub fn refused_by(&self, answer: &str) -> Vec<Symbol> {
        let lower = answer.to_ascii_lowercase();
        if !REFUSALS.iter().any(|refusal| lower.contains(refusal)) {
            return Vec::new();
        }
        let unescaped = answer.replace("\\/", "/");
        let words = unescaped.split(|c: char| !c.is_ascii_alphanumeric() && !"-/".contains(c));
        let mut refused: Vec<_> = words.filter_map(|word| self.0.get(&word.to_ascii_uppercase())).cloned().collect();
        refused.sort_unstable();
        refused.dedup();
        refused
    }

    /// All of them, in the order of their texts.
    pub fn all(&self) -> Vec<Symbol> {
        let mut all: Vec<_> = self.0.values().cloned().collect();
        all.sort_unstable();
        all
    }
}

/// A venue, as pure functions.
pub trait Adapter: Send + Sync {
    /// What is known about it.
    fn rules(&self) -> Rules;

    /// How frames name a symbol.
    fn spell(&self, symbol: &Symbol) -> String;

    /// The frames that subscribe to the trades of the symbols.
    fn subscribe(&self, symbols: &Symbols) -> Vec<String>;

    /// Reads a frame, which was received at `received`. A frame that says nothing of interest is empty.
    fn read(&self, symbols: &Symbols, frame: &str, received: Micros) -> Result<Vec<Incoming>, InvalidFrame>;

    /// The path and the query of a page of missing trades.
    fn page(&self, symbol: &Symbol, missing: &Missing) -> String;

    /// Reads a page. It may have trades that are not missing.
    fn read_page(&self, symbol: &Symbol, page: &[u8], received: Micros) -> Result<Vec<Trade>, InvalidFrame>;

    /// The path and the query of the candles of one minute that start at `from` or later, and before `to`. There are at most
    /// [`Rules::klines`] of them.
    fn klines(&self, symbol: &Symbol, from: Micros, to: Micros) -> String;

    /// Reads them, in any order. There may be others before and after them.
    fn read_klines(&self, page: &[u8]) -> Result<Vec<Kline>, InvalidFrame>;

    /// What is missing after a page was read; `None` if there is nothing more, or the venue has nothing more. If the end of
    /// what is missing is not known, a page that is not full is the last one: an active symbol never has an empty page.
    fn rest(&self, missing: &Missing, page: &[Trade]) -> Option<Missing> {
        if missing.to == Missing::UNKNOWN && page.len() < PAGE {
            return None;
        }
        let found = page.iter().filter(|trade| (missing.from..=missing.to).contains(&trade.id));
        let rest = match self.rules().order {
            Order::Ascending => {
                let last = found.max_by_key(|trade| trade.id)?;
                Missing { from: last.id + 1, after: last.time.max(missing.after), ..*missing }
            }
            Order::Descending => {
                let first = found.min_by_key(|trade| trade.id)?;
                Missing { to: first.id - 1, before: first.time.min(missing.before), ..*missing }
            }
        };
        (rest.from <= rest.to).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venue_says_how_long_it_wants_no_requests() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(pause_after(429, seconds(7)), seconds(7));
        assert_eq!((pause_after(429, None), pause_after(418, None)), (Some(LIMITED), Some(BANNED)));
        assert_eq!(pause_after(418, seconds(3_600)), seconds(3_600));
        assert_eq!((pause_after(404, None), pause_after(503, seconds(9))), (None, seconds(9)));
    }

    #[test]
    fn limits_are_recognised_among_refusals() {
        let refused = |answer: &str| InvalidFrame::Refused(answer.to_owned()).is_limit();
        for limit in ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EGeneral:Temporary lockout"] {
            assert!(refused(limit), "{limit}");
        }
        assert!(!refused("EQuery:Unknown asset pair") && !InvalidFrame::Time.is_limit());
    }
}
