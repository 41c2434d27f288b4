//! Forgets idempotency keys and the progress of imports once they are old.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::DogRepository;
use kennel_app::{Component, Stop, in_batches};
use kennel_core::{BoxError, Clock};
use tokio::time::{MissedTickBehavior, interval};

/// How often it looks.
const EVERY: Duration = Duration::from_hours(1);

/// Purges the repository of what is older than the retention time. Every replica does; those
/// that do at the same time share the work.
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

    /// Purges at once and then again and again; never ends.
    async fn work(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let before = self.clock.now().saturating_sub(self.retention);
            match in_batches(|rows| self.dogs.purge(before, rows)).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "old idempotency keys and imports are forgotten"),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old rows cannot be removed"),
            }
        }
    }
}

#[async_trait]
impl Component for Housekeeper {
    fn name(&self) -> &'static str {
        "housekeeper"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        // What is left in the middle is taken up again by the next process.
        tokio::select! {
            () = stop.requested() => {}
            () = self.work() => {}
        }
        Ok(())
    }
}
