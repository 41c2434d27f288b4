//! Subscriptions and their deliveries.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Claim, DeadLetter, DeadLetterSink, Delivery, Event, EventFilter, RepoError, Settle, Subscription};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use super::group::{Claimed, GroupState};
use super::{Core, Lagged};
use crate::delivery::{Closed, DEAD_LETTER_RETRY_DELAY, DeliveredElsewhere, Next, NoopAck, changed_or_due, due};

/// A subscription as a member of a group.
pub(super) struct GroupSubscription {
    pub(super) core: Arc<Core>,
    pub(super) sink: Arc<dyn DeadLetterSink>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) member: u64,
    pub(super) changed: Arc<Notify>,
}

impl GroupSubscription {
    fn poll(&self) -> Result<Next<Claimed>, Closed> {
        let limit = self.core.limits.in_flight.get();
        self.core.with_group(&self.topic, &self.group, |group| group.poll(self.member, limit, Instant::now()))
    }

    fn delivery(&self, claimed: Claimed) -> Delivery {
        let pending = PendingAck {
            core: Arc::clone(&self.core),
            sink: Arc::clone(&self.sink),
            topic: self.topic.clone(),
            group: self.group.clone(),
            member: self.member,
            claim: Some(claimed.claim),
        };
        Delivery::new(claimed.event, claimed.attempt, Box::new(pending))
    }
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.poll().ok()? {
                Next::Item(item) => return Some(item.map(|claimed| self.delivery(claimed))),
                Next::Wait(due) => changed_or_due(changed, due).await,
            }
        }
    }
}

impl Drop for GroupSubscription {
    fn drop(&mut self) {
        // Fails after the broker is closed; then there is nothing to redeliver.
        let _closed = self.core.with_group(&self.topic, &self.group, |group| group.leave(self.member));
    }
}

/// Settles one delivery.
struct PendingAck {
    core: Arc<Core>,
    sink: Arc<dyn DeadLetterSink>,
    topic: String,
    group: String,
    member: u64,
    /// `None` after it is settled.
    claim: Option<Claim<()>>,
}

impl PendingAck {
    fn complete(&mut self) -> Result<(), BrokerError> {
        self.settle(GroupState::complete)?;
        self.core.capacity.notify_waiters();
        Ok(())
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        self.settle(|group, member, claim| group.release(member, claim, due(delay)))
    }

    /// Settles the delivery once; `work` returns whether the claim was still valid.
    fn settle(&mut self, work: impl FnOnce(&mut GroupState, u64, &Claim<()>) -> bool) -> Result<(), BrokerError> {
        let Some(claim) = self.claim.take() else {
            return Ok(());
        };
        let is_valid = self.core.with_group(&self.topic, &self.group, |group| work(group, self.member, &claim))?;
        if is_valid { Ok(()) } else { Err(DeliveredElsewhere.into()) }
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
            group: self.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.core.clock.now(),
        };
        if let Err(error) = self.sink.store(&dead_letter).await {
            self.release(DEAD_LETTER_RETRY_DELAY)?;
            return Err(match error {
                RepoError::Unavailable(_) => BrokerError::Unavailable(error.into()),
                _ => BrokerError::Backend(error.into()),
            });
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

/// A broadcast subscription.
pub(super) struct BroadcastSubscription {
    pub(super) events: broadcast::Receiver<Arc<Event>>,
    pub(super) filter: EventFilter,
}

#[async_trait]
impl Subscription for BroadcastSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            return match self.events.recv().await {
                Ok(event) if !self.filter.includes(&event) => continue,
                Ok(event) => Some(Ok(Delivery::new(Event::clone(&event), 1, Box::new(NoopAck)))),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    Some(Err(BrokerError::Backend(Lagged { missed }.into())))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            };
        }
    }
}
