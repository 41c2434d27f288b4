//! Builds candles from trades.
//!
//! The candles and gaps that a batch of trades changes, what is known about the ids of the trades, and the events about
//! candles are one transaction. What the service has in memory is only a copy of what is stored: it is read again after a restart, and after
//! another member of the group has changed it.

pub mod audit;
mod carry;
mod cli;
mod config;
mod events;
mod grpc;
pub mod handler;
pub mod latest;
pub mod metrics;
pub mod repository;
mod service;
pub mod store;

pub use cli::PreprocessorCommand;
pub use config::{AuditConfig, PreprocessorConfig, VenueConfig};
pub use service::{MarketPreprocessor, MarketPreprocessorConfig};

kennel_service::contract_test!(crate::MarketPreprocessor, "../../..");
