//! Settling of broadcast events.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Event, Settle};

/// Settles nothing: brokers store no state for broadcast deliveries.
pub(crate) struct NoopAck;

#[async_trait]
impl Settle for NoopAck {
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
