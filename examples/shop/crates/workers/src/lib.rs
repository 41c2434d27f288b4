//! Consumers and background work, which the applications run.

pub mod indexer;
pub mod mailer;
pub mod poller;
pub mod receipts;
pub mod report;
pub mod support_bot;
