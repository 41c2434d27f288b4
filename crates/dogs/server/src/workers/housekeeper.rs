//! Forgets idempotency keys and the progress of imports once they are old.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::DogRepository;
use kennel_app::{Component, Stop};
use kennel_core::{BoxError, Clock};
use tokio::time::{MissedTickBehavior, interval};

/// How often it looks.
const EVERY: Duration = Duration::from_hours(1);

/// Purges the repository of what is older than the retention time. Every replica does; the second one finds nothing.
pub struct Housekeeper {
    dogs: Arc<dyn DogRepository>,
    clock: Arc<dyn Clock>,
    retention: Duration,
}

impl Housekeeper {
    /// One that keeps what is younger than `retention`.
    pub fn new(dogs: Arc<dyn DogRepository>, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self { dogs, clock, retention }
    }

    async fn purge(&self) {
        let before = self.clock.now().saturating_sub(self.retention);
        match self.dogs.purge(before).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old idempotency keys and imports are forgotten"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old rows cannot be removed"),
        }
    }
}

#[async_trait]
impl Component for Housekeeper {
    fn name(&self) -> &'static str {
        "housekeeper"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => self.purge().await,
            }
        }
    }
}
