//! What carries events from the store that committed them to those who act on them.
//!
//! [`Relay`] publishes what the outbox holds, [`Consumer`] lets a handler act once on each event, and [`Feed`] shows
//! events live to many listeners inside the process. All three are components; none knows a store or a broker.

mod attempts;
mod backoff;
pub mod consumer;
#[cfg(test)]
mod fakes;
pub mod feed;
mod lanes;
mod lease;
pub mod metrics;
mod place;
pub mod relay;
mod replay;
pub mod span;

pub use attempts::Quarantine;
pub use backoff::Backoff;
pub use consumer::{Consumer, ConsumerConfig, ConsumerPorts, Handled, Handler, HandlerError};
pub use feed::{Feed, FeedConfig, FeedItem, Watched};
pub use metrics::{ConsumerMetrics, RelayMetrics};
pub use relay::{Relay, RelayConfig};
pub use replay::{ReplayError, replay};
