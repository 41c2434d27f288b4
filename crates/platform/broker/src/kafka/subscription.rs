//! Subscriptions to groups, and their deliveries.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Claim, DeadLetter, Delivery, Event, Settle, Subscription};

use super::Core;
use super::delivery_buffer::DeliveryBuffer;
use super::window::{Claimed, PartitionId, Window};
use crate::delivery::{DEAD_LETTER_RETRY_DELAY, DeliveredElsewhere, Next, changed_or_due, due};

/// A subscription as a member of a group.
pub(super) struct GroupSubscription {
    pub(super) core: Arc<Core>,
    pub(super) buffer: Arc<DeliveryBuffer>,
}

fn delivery(core: &Arc<Core>, buffer: &Arc<DeliveryBuffer>, claimed: Claimed) -> Delivery {
    let pending = PendingAck {
        core: Arc::clone(core),
        buffer: Arc::clone(buffer),
        partition: claimed.claim.partition().clone(),
        offset: claimed.offset,
        claim: Some(claimed.claim),
    };
    Delivery::new(claimed.event, claimed.attempt, Box::new(pending))
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut changed = pin!(self.buffer.changed.notified());
            changed.as_mut().enable();
            match self.buffer.poll().ok()? {
                Next::Item(item) => return Some(item.map(|claimed| delivery(&self.core, &self.buffer, claimed))),
                Next::Wait(due) => changed_or_due(changed, due).await,
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
    partition: PartitionId,
    offset: i64,
    /// `None` after it is settled.
    claim: Option<Claim<PartitionId>>,
}

impl PendingAck {
    fn complete(&mut self) -> Result<(), BrokerError> {
        self.settle(Window::complete)
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        self.settle(|window, claim| window.release(claim, due(delay)))
    }

    /// Settles the delivery once; `work` returns whether the claim was still valid.
    fn settle(&mut self, work: impl FnOnce(&mut Window, &Claim<PartitionId>) -> bool) -> Result<(), BrokerError> {
        let Some(claim) = self.claim.take() else {
            return Ok(());
        };
        if self.buffer.settle(|window| work(window, &claim))? { Ok(()) } else { Err(DeliveredElsewhere.into()) }
    }
}

#[async_trait]
impl Settle for PendingAck {
    fn successor(&self) -> Option<Delivery> {
        let claimed = self.buffer.claim_next(self.claim.as_ref()?)?;
        Some(delivery(&self.core, &self.buffer, claimed))
    }

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
        if let Err(error) =
            self.core.store_dead_letter(&dead_letter, &self.buffer.topic, &self.partition, self.offset).await
        {
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
