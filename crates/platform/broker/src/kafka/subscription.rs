//! Places in a group, and what they hold.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, Delivery, Event, Settle, Subscription};
use tokio::time::Instant;

use super::Core;
use super::post::{Found, Post};
use super::window::{Part, Taken};

/// How long an event waits when its dead letter could not be stored.
const BURIAL_RETRY: Duration = Duration::from_secs(1);
/// Longer delays are cut to this one, so that no arithmetic on times can overflow.
const LONGEST_DELAY: Duration = Duration::from_hours(24 * 365);

/// The partition has gone to another member.
#[derive(Debug, thiserror::Error)]
#[error("delivery has been handed to another member")]
struct HandedOn;

/// A place in a shared group.
pub(super) struct Place {
    pub(super) core: Arc<Core>,
    pub(super) post: Arc<Post>,
}

impl Place {
    fn delivery(&self, taken: Taken) -> Delivery {
        let held = Held {
            core: Arc::clone(&self.core),
            post: Arc::clone(&self.post),
            key: taken.event.key.clone(),
            part: taken.part,
            offset: taken.offset,
            token: Some(taken.token),
        };
        Delivery::new(taken.event, taken.attempt, Box::new(held))
    }
}

#[async_trait]
impl Subscription for Place {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut arrival = pin!(self.post.arrivals.notified());
            arrival.as_mut().enable();
            match self.post.find().ok()? {
                Found::Event(taken) => return Some(Ok(self.delivery(*taken))),
                Found::Error(error) => return Some(Err(error)),
                Found::Nothing(Some(due)) => {
                    // Either is a reason to look again.
                    let _due = tokio::time::timeout_at(due, arrival).await;
                }
                Found::Nothing(None) => arrival.await,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.post.close();
    }
}

/// The group's side of a delivery.
struct Held {
    core: Arc<Core>,
    post: Arc<Post>,
    part: Part,
    key: String,
    offset: i64,
    /// Gone once settled.
    token: Option<u64>,
}

impl Held {
    fn finish(&mut self) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let finished = self.post.settle(|window| window.finish(&self.part, &self.key, token))?;
        if finished { Ok(()) } else { Err(BrokerError::Backend(HandedOn.into())) }
    }

    fn release(&mut self, delay: Duration) -> Result<(), BrokerError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let due = (!delay.is_zero()).then(|| Instant::now() + delay.min(LONGEST_DELAY));
        let released = self.post.settle(|window| window.release(&self.part, &self.key, token, due))?;
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
            group: self.post.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.core.clock.now(),
        };
        if let Err(error) = self.core.bury(&letter, &self.post.topic, &self.part, self.offset).await {
            self.release(BURIAL_RETRY)?;
            return Err(error);
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
