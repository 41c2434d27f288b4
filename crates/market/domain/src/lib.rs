//! Trades, and the candles that are built from them. Pure: no I/O, no clock, no float.
//!
//! - A [`Decimal`] is exact: an operation that cannot be exact has no result.
//! - [`Continuity`] knows which ids of an instrument's trades are there and which are missing.
//! - A [`Bar`] is what a set of trades adds up to. Merging bars is associative and commutative, so that candles do not depend on
//!   the order in which trades arrive, and one minute folds exactly into longer timeframes.
//! - A [`Book`] applies the trades of one instrument, and says which candles and gaps have changed.

mod bar;
mod book;
mod candle;
mod continuity;
mod decimal;
mod instrument;
#[cfg(test)]
mod properties;
mod timeframe;
mod trade;

pub use bar::Bar;
pub use book::{Applied, Book, BookState, Changes};
pub use candle::{Candle, CandleKey, Window};
pub use continuity::{Continuity, Gap, GapState, Missing, Seen};
pub use decimal::{Decimal, InvalidDecimal};
pub use instrument::{Instrument, InvalidSymbol, Symbol, UnknownVenue, Venue};
pub use timeframe::{Timeframe, UnknownTimeframe};
pub use trade::{Limits, Micros, Refusal, Side, Trade};
