//! Builds candles from trades.
//!
//! A batch of trades, the candles and gaps that it changes, the receipts of its events and the events about candles are one
//! transaction. What the service has in memory is only a copy of what is stored: it is read again after a restart, and after
//! another member of the group has changed it.

mod config;
#[cfg(test)]
mod contracts;
mod grpc;
pub mod handler;
pub mod metrics;
pub mod repository;
mod service;
pub mod store;

pub use config::PreprocessorConfig;
pub use service::{MarketPreprocessor, MarketPreprocessorConfig};
