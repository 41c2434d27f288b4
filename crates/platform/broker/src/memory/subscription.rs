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

/// A member of a group.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) core: Arc<Core>,
    pub(super) sink: Arc<dyn DeadLetterSink>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) id: u64,
}

impl Member {
    fn with_group<T>(&self, work: impl FnOnce(&mut GroupState) -> T) -> Result<T, Closed> {
        self.core.with_group(&self.topic, &self.group, work)
    }

    fn delivery(&self, Claimed { event, attempt, claim }: Claimed) -> Delivery {
        Delivery::new(event, attempt, Box::new(PendingAck { member: self.clone(), claim: Some(claim) }))
    }
}

/// A subscription as a member of a group.
pub(super) struct GroupSubscription {
    pub(super) member: Member,
    pub(super) changed: Arc<Notify>,
}

impl GroupSubscription {
    fn poll(&self) -> Result<Next<Claimed>, Closed> {
        let limit = self.member.core.limits.in_flight.get();
        self.member.with_group(|group| group.poll(self.member.id, limit, Instant::now()))
    }
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.poll().ok()? {
                Next::Item(item) => return Some(item.map(|claimed| self.member.delivery(claimed))),
                Next::Wait(due) => changed_or_due(changed, due).await,
            }
        }
    }
}

impl Drop for GroupSubscription {
    fn drop(&mut self) {
        // Fails after the broker is closed; then there is nothing to redeliver.
        let _closed = self.member.with_group(|group| group.leave(self.member.id));
    }
}

/// Settles one delivery.
struct PendingAck {
    member: Member,
    /// `None` after it is settled.
    claim: Option<Claim<()>>,
}

impl PendingAck {
    fn complete(&mut self) -> Result<(), BrokerError> {
        self.settle(GroupState::complete)?;
        self.member.core.capacity.notify_waiters();
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
        let is_valid = self.member.with_group(|group| work(group, self.member.id, &claim))?;
        if is_valid { Ok(()) } else { Err(DeliveredElsewhere.into()) }
    }
}

#[async_trait]
impl Settle for PendingAck {
    fn successor(&self) -> Option<Delivery> {
        let claim = self.claim.as_ref()?;
        let next = self.member.with_group(|group| group.claim_next(self.member.id, claim)).ok()??;
        Some(self.member.delivery(next))
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
            group: self.member.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.member.core.clock.now(),
        };
        if let Err(error) = self.member.sink.store(&dead_letter).await {
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
                Ok(event) => Some(Ok(Delivery::new(event, 1, Box::new(NoopAck)))),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    Some(Err(BrokerError::Backend(Lagged { missed }.into())))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            };
        }
    }
}
