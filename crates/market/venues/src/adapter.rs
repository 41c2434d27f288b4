//! The interface of a venue.

use std::collections::HashMap;
use std::time::Duration;

use market_domain::{InvalidDecimal, Micros, Missing, Symbol, Trade};

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

    /// Removes a symbol.
    pub fn remove(&mut self, symbol: &Symbol) {
        self.0.retain(|_, found| found != symbol);
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
