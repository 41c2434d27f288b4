//! The broker port: durable publishing, and at-least-once delivery to consumer groups.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{BoxError, Event};

/// Why a call to the broker failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The broker does not answer; a later call may succeed.
    #[error("broker is unavailable")]
    Unavailable(#[source] BoxError),
    /// A message is not an event in the format of this workspace.
    #[error("message is not readable")]
    Corrupt(#[source] BoxError),
    /// Any other error of the broker.
    #[error("broker operation failed")]
    Backend(#[source] BoxError),
}

/// How the subscriptions of a topic share its messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// A consumer group: each message goes to one member. The broker stores the group's position while it has no
    /// members, so that they miss nothing. A group is its name and its topic: one name on two topics is two groups.
    Shared(String),
    /// Each subscription receives every message that is published while it exists, once, and none from before.
    /// Settling is a no-op, and no group waits for it.
    Broadcast,
}

/// Which events of a topic a subscription delivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EventFilter {
    /// All of them.
    #[default]
    All,
    /// Those with one of these names.
    Names(BTreeSet<String>),
}

impl EventFilter {
    /// Delivers the events with one of these names.
    pub fn names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Names(names.into_iter().map(Into::into).collect())
    }

    /// Returns whether the event is delivered.
    pub fn includes(&self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(&event.name),
        }
    }
}

/// Publishes events.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes a batch, which may be empty or contain several topics. Returns after the broker has stored every event
    /// durably.
    ///
    /// After an error any subset of the batch may be stored. The caller publishes the batch again, and receivers get
    /// some events twice. Events with one topic and key are delivered in the order given.
    ///
    /// A topic, stream or queue that the broker lost or an operator deleted is created again, by this call or by the
    /// next one after a failure.
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError>;
}

/// Subscribes to topics.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// Joins `group` on `topic`. Deliveries that the group has not settled are delivered again, to any member.
    ///
    /// A subscription survives restarts of the broker. It creates again what it needs and the broker no longer has, or
    /// ends with [`BrokerError::Unavailable`], and subscribing again creates it. Unsettled messages that the broker still
    /// has are delivered, and settled ones can be delivered again.
    ///
    /// [`Subscription::next`] reports what cannot be created while the broker answers. It also reports an error when a
    /// broadcast subscription has missed events.
    ///
    /// Events that `filter` excludes are not delivered. The adapter settles them for the group as it receives them: they
    /// need no call of [`Subscription::next`], do not count towards the in-flight limit, and wait for no other event,
    /// not even of their key. What one member excludes, the others do not get either, so the members of a group use one
    /// filter. A group that excludes an event does not delay its publishing.
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError>;
}

/// Membership in a group. Dropping it returns its unsettled deliveries to the other members.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next delivery. Returns `None` after the broker is closed permanently.
    ///
    /// Cancel-safe: no delivery is lost when the future is dropped. At most as many keys as the adapter's in-flight limit
    /// have unsettled deliveries at a time; at the limit this call waits until those of one are settled.
    ///
    /// Events of one key are delivered in publish order, one at a time: the next one follows after the previous is
    /// acknowledged or a dead letter. An unsettled or delayed event does not delay events of other keys. A receiver that
    /// wants more of a key at once asks for it: see [`Delivery::successor`].
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>>;
}

/// An event that was delivered to one member of a group and is not settled yet. Dropped unsettled, it is delivered
/// again.
pub struct Delivery {
    /// The event, as it was published. Whoever may deliver it again shares it.
    pub event: Arc<Event>,
    /// Number of deliveries of this event to the group, including this one; the first is 1.
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
    /// Creates a delivery; for adapters.
    pub fn new(event: impl Into<Arc<Event>>, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self { event: event.into(), attempt, settle }
    }

    /// Delivers the next event of this one's key, although this one is not settled. `None` if the member has not received
    /// it yet, or does not have this one any more, or after one of the deliveries that were unsettled together was
    /// rejected. Only the latest delivery of a key has a successor; the limit of deliveries in flight is the receiver's.
    ///
    /// The receiver is responsible for the order: it handles the events as they were delivered, and settles them in any
    /// order. [`Subscription::next`] delivers others of the key after all of them are settled: first those that were
    /// rejected, in their order.
    pub fn successor(&self) -> Option<Self> {
        self.settle.successor()
    }

    /// Acknowledges the event: the group does not get it again, unless the broker loses data. After an error the event
    /// may be delivered again.
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.settle.ack().await
    }

    /// Rejects the event for now: it is delivered again after `delay` or later, with the next attempt number.
    pub async fn nack(self, delay: Duration) -> Result<(), BrokerError> {
        self.settle.nack(delay).await
    }

    /// Gives up: stores the event durably as a dead letter of this group, with `reason`, and acknowledges it. Other
    /// groups still get the event. After an error the event is delivered again.
    pub async fn dead_letter(self, reason: &str) -> Result<(), BrokerError> {
        self.settle.dead_letter(&self.event, self.attempt, reason).await
    }
}

/// Settles one delivery; implemented by adapters, called through [`Delivery`].
#[async_trait]
pub trait Settle: Send + Sync {
    /// See [`Delivery::successor`]. Events without an order have none.
    fn successor(&self) -> Option<Delivery> {
        None
    }
    /// See [`Delivery::ack`].
    async fn ack(self: Box<Self>) -> Result<(), BrokerError>;
    /// See [`Delivery::nack`].
    async fn nack(self: Box<Self>, delay: Duration) -> Result<(), BrokerError>;
    /// See [`Delivery::dead_letter`]. `attempts` is the delivery's attempt number.
    async fn dead_letter(self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError>;
}
