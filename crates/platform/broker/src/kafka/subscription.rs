//! Subscriptions to groups, and their deliveries.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, Delivery, Event, Settle, Subscription};
use tokio::time::Instant;

use super::Core;
use super::delivery_buffer::{DeliveryBuffer, NextDelivery};
use super::window::{Claimed, PartitionId};

/// Delay before redelivery when the dead letter could not be stored.
const DEAD_LETTER_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay, so that arithmetic on times cannot overflow.
const MAX_DELAY: Duration = Duration::from_hours(24 * 365);

/// The partition was assigned to another member.
#[derive(Debug, thiserror::Error)]
#[error("event was delivered to another member")]
struct DeliveredElsewhere;

/// A subscription as a member of a group.
pub(super) struct GroupSubscription {
    pub(super) core: Arc<Core>,
    pub(super) buffer: Arc<DeliveryBuffer>,
}

impl GroupSubscription {
    fn delivery(&self, claimed: Claimed) -> Delivery {
        let pending = PendingAck {
            core: Arc::clone(&self.core),
            buffer: Arc::clone(&self.buffer),
            key: claimed.event.key.clone(),
            id: claimed.id,
            offset: claimed.offset,
            token: Some(claimed.token),
        };
        Delivery::new(claimed.event, claimed.attempt, Box::new(pending))
    }
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut changed = pin!(self.buffer.changed.notified());
            changed.as_mut().enable();
            match self.buffer.poll().ok()? {
                NextDelivery::Event(claimed) => return Some(Ok(self.delivery(*claimed))),
                NextDelivery::Error(error) => return Some(Err(error)),
                NextDelivery::WaitUntil(Some(due)) => {
                    // Check again in both cases.
                    let _due = tokio::time::timeout_at(due, changed).await;
                }
                NextDelivery::WaitUntil(None) => changed.await,
            }
        }
    }
}

impl Drop for GroupSubscription {
    fn drop(&mut self) {
        self.buffer.close();
    }
}

/// Settles one delivery.
struct PendingAck {
    core: Arc<Core>,
    buffer: Arc<DeliveryBuffer>,
    id: PartitionId,
    key: String,
    offset: i64,
    /// `None` after it is settled.
    token: Option<u64>,
}

impl PendingAck {
    fn complete(&mut self) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let completed = self.buffer.settle(|window| window.complete(&self.id, &self.key, token))?;
        if completed { Ok(()) } else { Err(BrokerError::Backend(DeliveredElsewhere.into())) }
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let due = (!delay.is_zero()).then(|| Instant::now() + delay.min(MAX_DELAY));
        let released = self.buffer.settle(|window| window.release(&self.id, &self.key, token, due))?;
        if released { Ok(()) } else { Err(BrokerError::Backend(DeliveredElsewhere.into())) }
    }
}

#[async_trait]
impl Settle for PendingAck {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        self.complete()
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        self.release(delay)
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let dead_letter = DeadLetter {
            event: event.clone(),
            group: self.buffer.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.core.clock.now(),
        };
        if let Err(error) = self.core.store_dead_letter(&dead_letter, &self.buffer.topic, &self.id, self.offset).await {
            self.release(DEAD_LETTER_RETRY_DELAY)?;
            return Err(error);
        }
        self.complete()
    }
}

impl Drop for PendingAck {
    fn drop(&mut self) {
        // Fails when another member has the event, which is fine.
        let _delivered_elsewhere = self.release(Duration::ZERO);
    }
}
