//! What exchanges send and expect, as pure functions: bytes to trades and control messages, and back. No I/O, and no float: the
//! text of a price is read as it was sent.
//!
//! Each venue is one file with an [`Adapter`]. What is not a function is in its table of [`Rules`].

mod adapter;
mod binance;
mod coinbase;
mod fields;
mod kraken;

use market_domain::Venue;

pub use adapter::{Adapter, BANNED, Incoming, InvalidFrame, Kline, LIMITED, Order, Rules, Symbols, pause_after};

/// The adapter of a venue.
pub const fn adapter(venue: Venue) -> &'static dyn Adapter {
    match venue {
        Venue::Binance => &binance::Binance,
        Venue::Coinbase => &coinbase::Coinbase,
        Venue::Kraken => &kraken::Kraken,
    }
}
