//! Exchanges that do not exist, for tests and demonstrations.
//!
//! Trades are drawn from a seed and written to a [ledger](Ledger), which is the truth that candles are compared with. Clients see
//! them through the frames of the real venues, over WebSocket and REST, after a [script](Faults) has lost, doubled, delayed and
//! reordered some of them, and closed connections.

mod config;
mod faults;
mod frames;
mod klines;
mod ledger;
mod opening;
mod server;
mod service;
mod socket;

pub use config::{MarketSimulatorConfig, SimulatorConfig};
pub use faults::Faults;
pub use ledger::Ledger;
pub use service::MarketSimulator;

kennel_service::contract_test!(crate::MarketSimulator, "../../..");
