//! The broker port: durable publishing and at-least-once delivery to groups.

use std::time::Duration;

use async_trait::async_trait;

use crate::{BoxError, Event};

/// Why a call to the broker failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The broker does not answer; trying again later may help.
    #[error("broker is unavailable")]
    Unavailable(#[source] BoxError),
    /// A message is not one of ours.
    #[error("message is not readable")]
    Corrupt(#[source] BoxError),
    /// Anything else the broker reports.
    #[error("broker operation failed")]
    Backend(#[source] BoxError),
}

/// Who shares the messages of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// Members share: each message goes to one of them. Its place is kept while no member is there.
    Shared(String),
    /// Each subscription gets every message published while it is there, and none from before; settling is a no-op.
    Broadcast,
}

/// Sends events.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Returns once the broker has every event of the batch durably. After an error any part of the batch
    /// may have been taken: publishing it again is right, and receivers see some events twice.
    /// Events with one topic and key are delivered in the order given.
    /// What the broker needs for a topic and no longer has, because it lost its data or an operator removed it, is created
    /// again: at once, or by the next call after one that failed.
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError>;
}

/// Receives events.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// Joins `group` on `topic`. What the group has not settled is delivered again, to any of its members.
    /// A subscription outlives restarts of the broker. It creates again what it needs and the broker no longer has, with
    /// nothing done by its owner, or ends with [`BrokerError::Unavailable`], and subscribing again creates it; what the
    /// broker still had unsettled is delivered, and what was settled can come again.
    /// What cannot be created while the broker answers is an error of [`Subscription::next`], and so is it when a broadcast
    /// has missed events.
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError>;
}

/// A place in a group. Dropping it hands what it has not settled to the other members.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next delivery. Loses nothing when its future is dropped. `None` once the broker is closed for good.
    /// At most the adapter's in-flight limit of deliveries are out unsettled at a time.
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>>;
}

/// An event in the hands of one member of a group, until settled. Dropped unsettled, it is delivered again.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// How many times this group has been given it, this time included; starts at 1.
    pub attempt: u32,
    settle: Box<dyn Settle>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Delivery {
    /// Wraps an event for its receiver; for adapters.
    pub fn new(event: Event, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self { event, attempt, settle }
    }

    /// The group is done with it.
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.settle.ack().await
    }

    /// Asks for it again, not before `delay` has passed.
    pub async fn nack(self, delay: Duration) -> Result<(), BrokerError> {
        self.settle.nack(delay).await
    }

    /// Gives up: moves it, with `reason`, where an operator can look at it, replay it or drop it.
    pub async fn dead_letter(self, reason: &str) -> Result<(), BrokerError> {
        self.settle.dead_letter(&self.event, self.attempt, reason).await
    }
}

/// An adapter's side of a [`Delivery`]; see there.
#[async_trait]
pub trait Settle: Send + Sync {
    /// See [`Delivery::ack`].
    async fn ack(self: Box<Self>) -> Result<(), BrokerError>;
    /// See [`Delivery::nack`].
    async fn nack(self: Box<Self>, delay: Duration) -> Result<(), BrokerError>;
    /// See [`Delivery::dead_letter`].
    async fn dead_letter(self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError>;
}
