//! What clients see: candles, instruments and gaps, which it reads from `market-preprocessor`, what candles add up to, and a live
//! stream of the topic of candles. It has no store of its own.

mod analysis;
mod api;
mod errors;
mod grpc;
mod http;
mod service;
mod statistics;
mod stream;

pub use service::{AnalyticsApi, AnalyticsConfig};

kennel_service::contract_test!(crate::AnalyticsApi, "../../..");
