//! Updates readiness in the background.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::BoxError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{Component, Health, Phase, Stop};

/// Interval between two runs of the checks: how long a failed dependency can stay undetected without requests for
/// reports.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the checks of a [`Health`] periodically, so that gRPC health and other subscribers see changes.
#[derive(Debug)]
pub struct Readiness {
    health: Health,
}

impl Readiness {
    pub(crate) fn new(health: Health) -> Self {
        Self { health }
    }
}

#[async_trait]
impl Component for Readiness {
    fn name(&self) -> &'static str {
        "health"
    }

    /// A worker, so that it runs only while the drivers, which it checks, run.
    fn phase(&self) -> Phase {
        Phase::Worker
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let mut ticks = interval_at(Instant::now() + REFRESH_INTERVAL, REFRESH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // Awaited to the end, which is bounded by the timeouts: drivers stop only after this component.
            self.health.report().await;
        }
    }
}
