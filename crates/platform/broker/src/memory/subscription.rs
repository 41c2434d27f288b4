//! Places in a group, and what they hold.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, Delivery, Event, RepoError, Settle, Subscription};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use super::{Closed, Core, Lagged};
use crate::unheld::Unheld;

/// How long an event waits when its dead letter could not be stored.
const BURIAL_RETRY: Duration = Duration::from_secs(1);
/// Longer delays are cut to this one, so that no arithmetic on times can overflow.
const LONGEST_DELAY: Duration = Duration::from_hours(24 * 365);

/// The event was handed to another member, because its subscription was dropped.
#[derive(Debug, thiserror::Error)]
#[error("delivery has been handed to another member")]
struct HandedOn;

/// A place in a shared group.
pub(super) struct Member {
    pub(super) core: Arc<Core>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) id: u64,
    pub(super) arrivals: Arc<Notify>,
}

impl Member {
    /// A delivery, or else when to look again at the latest.
    fn take(&self) -> Result<Result<Delivery, Option<Instant>>, Closed> {
        let limit = self.core.limits.in_flight.get();
        let taken = self.core.with_group(&self.topic, &self.group, |group| {
            group.take(self.id, limit, Instant::now()).ok_or_else(|| group.next_due())
        })?;
        Ok(taken.map(|taken| {
            let held = Held {
                core: Arc::clone(&self.core),
                topic: self.topic.clone(),
                group: self.group.clone(),
                key: taken.event.key.clone(),
                token: Some(taken.token),
            };
            Delivery::new(taken.event, taken.attempt, Box::new(held))
        }))
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let arrivals = Arc::clone(&self.arrivals);
        loop {
            let mut arrival = pin!(arrivals.notified());
            arrival.as_mut().enable();
            match self.take().ok()? {
                Ok(delivery) => return Some(Ok(delivery)),
                Err(Some(due)) => {
                    // Either is a reason to look again.
                    let _due = tokio::time::timeout_at(due, arrival).await;
                }
                Err(None) => arrival.await,
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Once the broker is closed there is nothing to hand over.
        let _closed = self.core.with_group(&self.topic, &self.group, |group| group.leave(self.id));
    }
}

/// The group's side of a delivery.
struct Held {
    core: Arc<Core>,
    topic: String,
    group: String,
    key: String,
    /// Gone once settled.
    token: Option<u64>,
}

impl Held {
    fn finish(&mut self) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let finished = self.core.with_group(&self.topic, &self.group, |group| group.finish(&self.key, token))?;
        self.core.room.notify_waiters();
        if finished { Ok(()) } else { Err(BrokerError::Backend(HandedOn.into())) }
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let due = (!delay.is_zero()).then(|| Instant::now() + delay.min(LONGEST_DELAY));
        let released = self.core.with_group(&self.topic, &self.group, |group| group.release(&self.key, token, due))?;
        if released { Ok(()) } else { Err(BrokerError::Backend(HandedOn.into())) }
    }
}

#[async_trait]
impl Settle for Held {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        self.finish()
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        self.release(delay)
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let letter = DeadLetter {
            event: event.clone(),
            group: self.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.core.clock.now(),
        };
        if let Err(error) = self.core.sink.store(&letter).await {
            self.release(BURIAL_RETRY)?;
            return Err(match error {
                RepoError::Unavailable(_) => BrokerError::Unavailable(error.into()),
                _ => BrokerError::Backend(error.into()),
            });
        }
        self.finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Fails when another has the event by now, which is as good.
        let _handed_on = self.release(Duration::ZERO);
    }
}

/// A broadcast subscription.
pub(super) struct Listener(pub(super) broadcast::Receiver<Arc<Event>>);

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(Delivery::new(Event::clone(&event), 1, Box::new(Unheld)))),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some(Err(BrokerError::Backend(Lagged { missed }.into())))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
