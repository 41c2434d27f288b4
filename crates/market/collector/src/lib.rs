//! Receives the trades of several exchanges and publishes them without gaps.
//!
//! There is one worker for each venue. It reads a WebSocket; a jump of the ids is filled by the REST API before the next trade is
//! published. While the broker does not take trades, the socket is not read: nothing is lost, and nothing is collected in memory.
//! After a start, `market-preprocessor` says up to which trade each instrument is known and what is missing.

mod backfill;
mod config;
#[cfg(test)]
mod contracts;
mod metrics;
mod positions;
mod publisher;
mod service;
mod session;
mod socket;
mod tracker;
mod worker;

pub use config::{CollectorConfig, VenueConfig};
pub use service::MarketDataCollector;
