//! Keeps readiness current in the background.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::BoxError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{Component, Health, Phase, Stop};

/// How long a failed dependency may go unnoticed by those who follow readiness.
const REFRESH: Duration = Duration::from_secs(5);

/// Runs the checks of a [`Health`] from time to time, so that gRPC health and others who follow it see changes.
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

    /// A worker: it asks nothing of drivers that are not up yet or down already.
    fn phase(&self) -> Phase {
        Phase::Worker
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let mut ticks = interval_at(Instant::now() + REFRESH, REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // To its end, which is near: what it asks goes down after this.
            self.health.report().await;
        }
    }
}
