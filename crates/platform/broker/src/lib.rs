//! Message broker adapters.
//!
//! Adapters implement [`kennel_core::Publisher`] and [`kennel_core::Subscriber`]; [`connect()`] picks one,
//! [`Metered`] watches it, and [`cloudevents`] is how events look on a wire.

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Publisher, Subscriber};

pub mod cloudevents;
pub mod connect;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod group;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lag;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod letters;
pub mod memory;
pub mod metered;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
mod unheld;

pub use connect::{Backend, BrokerConfig, ConnectError, Connected, connect, connect_server};
pub use lag::{Lag, LagWatch};
pub use memory::{Lagged, MemoryBroker};
pub use metered::{BrokerMetrics, Metered};

/// A broadcast subscription was cut off for longer than the broker keeps what it missed, or the broker lost it. Source of
/// a [`BrokerError::Unavailable`]; the subscription goes on from the present.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subscription has missed events")]
pub struct Missed;

/// A broker ready for use.
#[async_trait]
pub trait Broker: Publisher + Subscriber {
    /// What it is, as `messaging.system` of the OpenTelemetry semantic conventions.
    fn system(&self) -> &'static str;

    /// Whether it answers, for health checks.
    async fn ping(&self) -> Result<(), BrokerError>;

    /// How far the groups that this process is in are behind, as far as the broker can tell.
    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        Ok(Vec::new())
    }

    /// Ends it for good: subscriptions answer `None`, and calls fail. What is not settled comes again elsewhere.
    async fn close(&self);
}
