//! Consumers and background work, which the applications run.

pub mod indexer;
pub mod poller;
pub mod report;
