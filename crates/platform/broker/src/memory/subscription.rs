//! Subscriptions and their deliveries.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, Delivery, Event, RepoError, Settle, Subscription};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use super::{Closed, Core, Lagged};
use crate::noop_ack::NoopAck;

/// Delay before redelivery when the dead letter could not be stored.
const DEAD_LETTER_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay, so that arithmetic on times cannot overflow.
const MAX_DELAY: Duration = Duration::from_hours(24 * 365);

/// The event was delivered to another member, because its subscription was dropped.
#[derive(Debug, thiserror::Error)]
#[error("event was delivered to another member")]
struct DeliveredElsewhere;

/// A subscription as a member of a group.
pub(super) struct GroupSubscription {
    pub(super) core: Arc<Core>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) id: u64,
    pub(super) changed: Arc<Notify>,
}

impl GroupSubscription {
    /// Returns a delivery, or else the time of the next check.
    fn take(&self) -> Result<Result<Delivery, Option<Instant>>, Closed> {
        let limit = self.core.limits.in_flight.get();
        let claimed = self.core.with_group(&self.topic, &self.group, |group| {
            group.claim(self.id, limit, Instant::now()).ok_or_else(|| group.next_due())
        })?;
        Ok(claimed.map(|claimed| {
            let pending = PendingAck {
                core: Arc::clone(&self.core),
                topic: self.topic.clone(),
                group: self.group.clone(),
                key: claimed.event.key.clone(),
                token: Some(claimed.token),
            };
            Delivery::new(claimed.event, claimed.attempt, Box::new(pending))
        }))
    }
}

#[async_trait]
impl Subscription for GroupSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let changed = Arc::clone(&self.changed);
        loop {
            let mut changed = pin!(changed.notified());
            changed.as_mut().enable();
            match self.take().ok()? {
                Ok(delivery) => return Some(Ok(delivery)),
                Err(Some(due)) => {
                    // Check again in both cases.
                    let _due = tokio::time::timeout_at(due, changed).await;
                }
                Err(None) => changed.await,
            }
        }
    }
}

impl Drop for GroupSubscription {
    fn drop(&mut self) {
        // Fails after the broker is closed; then there is nothing to redeliver.
        let _closed = self.core.with_group(&self.topic, &self.group, |group| group.leave(self.id));
    }
}

/// Settles one delivery.
struct PendingAck {
    core: Arc<Core>,
    topic: String,
    group: String,
    key: String,
    /// `None` after it is settled.
    token: Option<u64>,
}

impl PendingAck {
    fn complete(&mut self) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let completed = self.core.with_group(&self.topic, &self.group, |group| group.complete(&self.key, token))?;
        self.core.capacity.notify_waiters();
        if completed { Ok(()) } else { Err(BrokerError::Backend(DeliveredElsewhere.into())) }
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let due = (!delay.is_zero()).then(|| Instant::now() + delay.min(MAX_DELAY));
        let released = self.core.with_group(&self.topic, &self.group, |group| group.release(&self.key, token, due))?;
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
            group: self.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.core.clock.now(),
        };
        if let Err(error) = self.core.sink.store(&dead_letter).await {
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
pub(super) struct BroadcastSubscription(pub(super) broadcast::Receiver<Arc<Event>>);

#[async_trait]
impl Subscription for BroadcastSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(Delivery::new(Event::clone(&event), 1, Box::new(NoopAck)))),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some(Err(BrokerError::Backend(Lagged { missed }.into())))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
