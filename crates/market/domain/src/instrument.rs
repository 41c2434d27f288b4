//! What is traded, and where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Venue {
    /// Binance, spot.
    Binance,
    /// Coinbase Exchange.
    Coinbase,
    /// Kraken, spot.
    Kraken,
}

/// There is no venue of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `binance`, `coinbase` or `kraken`")]
pub struct UnknownVenue;

impl Venue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Binance, Self::Coinbase, Self::Kraken];

    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
        }
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Venue {
    type Err = UnknownVenue;

    fn from_str(text: &str) -> Result<Self, UnknownVenue> {
        Self::ALL.into_iter().find(|venue| venue.name() == text).ok_or(UnknownVenue)
    }
}

/// A pair of assets as `BASE-QUOTE`, such as `BTC-USD`; the same text for every venue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(String);

/// The text is not a [`Symbol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be two assets, such as `BTC-USD`: 1 to 16 capital letters or digits each")]
pub struct InvalidSymbol;

impl Symbol {
    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its two assets: what is traded, and in what the price is.
    pub fn assets(&self) -> (&str, &str) {
        self.0.split_once('-').unwrap_or((&self.0, ""))
    }
}

impl FromStr for Symbol {
    type Err = InvalidSymbol;

    fn from_str(text: &str) -> Result<Self, InvalidSymbol> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Symbol {
    type Error = InvalidSymbol;

    fn try_from(text: String) -> Result<Self, InvalidSymbol> {
        let is_letter = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit();
        let is_asset = |asset: &str| (1..=16).contains(&asset.len()) && asset.bytes().all(is_letter);
        match text.split_once('-') {
            Some((base, quote)) if is_asset(base) && is_asset(quote) => Ok(Self(text)),
            _ => Err(InvalidSymbol),
        }
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A symbol at a venue. Its text, such as `kraken:BTC-USD`, is the key of its events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instrument {
    /// The venue.
    pub venue: Venue,
    /// The symbol.
    pub symbol: Symbol,
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.venue, self.symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_two_assets() {
        assert_eq!("BTC-USD".parse::<Symbol>().unwrap().assets(), ("BTC", "USD"));
        for text in
            ["", "BTC", "BTCUSD", "btc-usd", "BTC-", "-USD", "BTC/USD", "A-B-C", "BTC-USD ", "ABCDEFGHIJKLMNOPQ-USD"]
        {
            assert_eq!(text.parse::<Symbol>(), Err(InvalidSymbol), "{text}");
        }
    }

    #[test]
    fn a_venue_is_read_by_its_name() {
        for venue in Venue::ALL {
            assert_eq!(venue.name().parse(), Ok(venue));
            assert_eq!(serde_json::to_value(venue).unwrap(), venue.name());
        }
        assert_eq!("Binance".parse::<Venue>(), Err(UnknownVenue));
    }
}
