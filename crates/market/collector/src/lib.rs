//! Receives the trades of several exchanges and publishes them without gaps.
//!
//! There is one worker for each venue. Several collectors share the symbols of a venue. It reads a WebSocket; after a jump of the ids, the trades of the symbol wait for those that
//! the REST API has, for a while. While the broker does not take trades, the socket is not read: nothing is lost, and nothing is collected in memory.
//! After a start, `market-preprocessor` says up to which trade each instrument is known and what is missing.

mod backfill;
mod config;
mod listing;
mod metrics;
mod positions;
mod publisher;
mod sampler;
mod service;
mod session;
mod shards;
mod socket;
mod tracker;
mod waiting;
mod worker;

pub use config::{CollectorConfig, VenueConfig};
pub use service::MarketDataCollector;

kennel_service::contract_test!(crate::MarketDataCollector, "../../..");
