//! What clients see: candles, instruments and gaps, which it reads from `market-preprocessor`, and a live stream of the topic of
//! candles. It has no store of its own.

mod api;
#[cfg(test)]
mod contracts;
mod errors;
mod grpc;
mod http;
mod service;
mod stream;

pub use service::{AnalyticsApi, AnalyticsConfig};
