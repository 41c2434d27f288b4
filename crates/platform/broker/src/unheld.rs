//! How broadcast events are settled.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Event, Settle};

/// Nothing is kept of a broadcast event, so there is nothing to settle.
pub(crate) struct Unheld;

#[async_trait]
impl Settle for Unheld {
    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn nack(self: Box<Self>, _: Duration) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn dead_letter(self: Box<Self>, _: &Event, _: u32, _: &str) -> Result<(), BrokerError> {
        Ok(())
    }
}
