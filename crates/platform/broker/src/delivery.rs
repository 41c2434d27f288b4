//! What the subscriptions of all adapters have in common.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Event, Settle};
use tokio::time::{Instant, timeout_at};

/// Delay before redelivery when the dead letter could not be stored.
pub(crate) const DEAD_LETTER_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay, so that arithmetic on times cannot overflow.
const MAX_DELAY: Duration = Duration::from_hours(24 * 365);

/// The broker was closed, or the subscription dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broker is closed")]
pub(crate) struct Closed;

impl From<Closed> for BrokerError {
    fn from(closed: Closed) -> Self {
        Self::Unavailable(closed.into())
    }
}

/// The event was delivered to another member, because this one lost its partition or its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event was delivered to another member")]
pub(crate) struct DeliveredElsewhere;

impl From<DeliveredElsewhere> for BrokerError {
    fn from(elsewhere: DeliveredElsewhere) -> Self {
        Self::Backend(elsewhere.into())
    }
}

/// What a subscription returns next.
pub(crate) enum Next<T> {
    Item(Result<T, BrokerError>),
    /// Nothing before this time, or before a change.
    Wait(Option<Instant>),
}

/// Waits for a change, until `due` at the latest.
pub(crate) async fn changed_or_due(changed: impl Future<Output = ()>, due: Option<Instant>) {
    match due {
        // The caller checks again in both cases.
        Some(due) => drop(timeout_at(due, changed).await),
        None => changed.await,
    }
}

/// Returns when a delay ends that starts now; `None` if there is none.
pub(crate) fn due(delay: Duration) -> Option<std::time::Instant> {
    (!delay.is_zero()).then(|| (Instant::now() + delay.min(MAX_DELAY)).into_std())
}

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
