//! Transactional outbox: moves events from the store in which they were committed to their consumers.
//!
//! [`Relay`] publishes the events of the outbox, [`Consumer`] calls a handler for each event and [`BatchConsumer`] for
//! several at once, and [`EventFeed`] streams events to many listeners inside the process. All of them are components;
//! none depends on a store or a broker.

mod attempts;
pub mod batch_consumer;
pub mod config;
pub mod consumer;
#[cfg(test)]
mod fakes;
pub mod feed;
mod invalidator;
mod lease;
pub mod metrics;
pub mod relay;
mod replay;
mod resilient_subscription;
pub mod span;

pub use attempts::Quarantine;
pub use batch_consumer::{BatchConsumer, BatchHandler, BatchItem, BatchLimits, BatchResults};
pub use config::OutboxConfig;
pub use consumer::{Consumer, ConsumerConfig, ConsumerPorts, Handled, Handler, HandlerError};
pub use feed::{EventFeed, FeedConfig, FeedItem, FeedUpdate};
pub use invalidator::{Invalidate, Invalidator};
pub use metrics::{ConsumerMetrics, RelayMetrics};
pub use relay::{Relay, RelayConfig};
pub use replay::{ReplayError, replay};
