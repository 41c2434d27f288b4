//! Message broker adapters.
//!
//! Adapters implement [`kennel_core::Publisher`] and [`kennel_core::Subscriber`]; [`connect()`] selects one.
//! [`InstrumentedBroker`] adds metrics and spans, and [`cloudevents`] defines how events are encoded.

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Publisher, Subscriber};

pub mod cloudevents;
pub mod config;
pub mod connect;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod dead_letters;
mod delivery;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod group;
pub mod instrumented;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lag;
pub mod memory;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

pub use config::{Backend, BrokerConfig, EventTopic};
pub use connect::{ConnectError, Connected, connect, connect_server, connect_without_store};
pub use instrumented::{BrokerMetrics, InstrumentedBroker};
pub use lag::{Lag, LagWatch};
pub use memory::{Lagged, MemoryBroker, SharedBroker};

/// A broadcast subscription was disconnected for longer than the broker stores missed events, or the broker lost its
/// data. Source of a [`BrokerError::Unavailable`]; the subscription continues with new events.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subscription has missed events")]
pub struct Missed;

/// An open broker.
#[async_trait]
pub trait Broker: Publisher + Subscriber {
    /// Returns the broker's name as `messaging.system` of the OpenTelemetry semantic conventions.
    fn system(&self) -> &'static str;

    /// Checks that the broker responds, for health checks.
    async fn ping(&self) -> Result<(), BrokerError>;

    /// Returns the lag of the groups in which this process is a member, where the broker can report it.
    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        Ok(Vec::new())
    }

    /// Closes the broker permanently: subscriptions return `None`, and calls fail. Unsettled events are delivered again
    /// to other processes.
    async fn close(&self);
}
