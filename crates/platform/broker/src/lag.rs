//! How far groups are behind.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_core::BoxError;

use crate::{Broker, Metered};

/// What a group has still to settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Events that were published and that the group has not settled.
    pub events: u64,
}

/// Keeps the gauge `broker_consumer_lag` up to date. When the broker does not answer, the gauge stays as it is.
pub struct LagWatch {
    broker: Arc<Metered>,
    every: Duration,
}

impl LagWatch {
    /// Looks at `broker` every so often.
    pub const fn new(broker: Arc<Metered>, every: Duration) -> Self {
        Self { broker, every }
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
                        tracing::debug!(error = &error as &dyn std::error::Error, "broker does not tell its lag");
                    }
                }
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }
}
