//! Consumer lag of groups.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_core::BoxError;

use crate::{Broker, InstrumentedBroker};

/// The number of events that a group has not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Published events that the group has not settled.
    pub events: u64,
}

/// Component that updates the gauge `broker_consumer_lag`. While the broker does not respond, the gauge retains its
/// last value.
pub struct LagWatch {
    broker: Arc<InstrumentedBroker>,
    interval: Duration,
}

impl LagWatch {
    /// Creates a watch that reads the lag from `broker` once per `interval`.
    pub const fn new(broker: Arc<InstrumentedBroker>, interval: Duration) -> Self {
        Self { broker, interval }
    }
}

#[async_trait]
impl Component for LagWatch {
    fn name(&self) -> &'static str {
        "broker-lag"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                lag = self.broker.lag() => {
                    if let Err(error) = lag {
                        tracing::debug!(error = &error as &dyn std::error::Error, "cannot read the consumer lag");
                    }
                }
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }
}
