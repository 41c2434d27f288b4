//! What the services of the market analytics agree on.
//!
//! | service | owns | publishes | serves |
//! |---|---|---|---|
//! | `market-data-collector` | connections to the venues | [`TradeReported`], [`TradeReportedV2`] | |
//! | `market-preprocessor` | candles and gaps | [`CandleChanged`] | gRPC `market.v1.CandleService` |
//! | `analytics-api` | what clients see | | HTTP, gRPC |
//!
//! The messages are those of `proto/market`, generated in `kennel_proto::market`. Version 2 adds fields to the trades of version 1.
//! A collector publishes one of both or both, each to its topic; readers count a trade once, by its id. So that any engine can
//! read the topics, decimals are canonical text and times are signed 64-bit microseconds; there are no maps, no unsigned 64-bit
//! numbers, and one event per message. The key is `venue:symbol`: the events of an instrument are delivered in order.
//!
//! A trade has the same event id whoever reports it, so several collectors of one instrument merge to one stream.

use std::time::Duration;

mod candle;
mod message;
mod trade;

pub use candle::{CandleChanged, InvalidCandle};
pub use trade::{InvalidTrade, TRADE_EVENTS, TradeReported, TradeReportedV2, UnreadableTrade, read_trade};

/// The topic of trades.
pub const TRADES: &str = "market.trades.v1";
/// The topic of trades of version 2.
pub const TRADES_V2: &str = "market.trades.v2";
/// The topic of candles.
pub const CANDLES: &str = "market.candles.v1";

/// The prefix of the keys of the cache that the services share.
pub const SYSTEM: &str = "market";
/// The cache of the newest candle of one minute of each instrument, a [`market_domain::Candle`], by the text of its
/// [`Instrument`](market_domain::Instrument). `market-preprocessor` writes it after each commit.
pub const LATEST_CANDLES: &str = "candles.latest";
/// How old a value of this cache may be: when a write is lost, readers see an older candle for as long.
pub const LATEST_CANDLE_TTL: Duration = Duration::from_secs(2);
