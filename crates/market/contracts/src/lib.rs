//! What the services of the market analytics agree on.
//!
//! | service | owns | publishes | serves |
//! |---|---|---|---|
//! | `market-data-collector` | connections to the venues | [`TradeReported`] | |
//! | `market-preprocessor` | candles and gaps | [`CandleChanged`] | gRPC `market.v1.CandleService` |
//! | `analytics-api` | what clients see | | HTTP, gRPC |
//!
//! The messages are those of `proto/market/v1`, generated in `kennel_proto::market::v1`. So that any engine can read the topics,
//! decimals are canonical text and times are signed 64-bit microseconds; there are no maps, no unsigned 64-bit numbers, and one
//! event per message. The key is `venue:symbol`: the events of an instrument are delivered in order.
//!
//! A trade has the same event id whoever reports it, so several collectors of one instrument merge to one stream.

mod candle;
mod message;
mod trade;

pub use candle::CandleChanged;
pub use trade::{InvalidTrade, TradeReported};

/// The topic of trades.
pub const TRADES: &str = "market.trades.v1";
/// The topic of candles.
pub const CANDLES: &str = "market.candles.v1";
