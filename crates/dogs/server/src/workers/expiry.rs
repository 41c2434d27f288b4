//! Removes expired idempotency keys and the progress of old imports.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::DogRepository;
use kennel_app::{Component, Stop, in_batches};
use kennel_core::{BoxError, Clock};
use tokio::time::{MissedTickBehavior, interval};

/// How often expired rows are removed.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);

/// Purges rows that are older than the retention time from the repository.
///
/// Every replica runs it; replicas that purge at the same time share the work.
pub struct ExpiryWorker {
    dogs: Arc<dyn DogRepository>,
    clock: Arc<dyn Clock>,
    retention: Duration,
}

impl ExpiryWorker {
    /// A worker that retains rows younger than `retention`.
    pub fn new(dogs: Arc<dyn DogRepository>, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self { dogs, clock, retention }
    }

    /// Purges immediately, and then at every interval; never returns.
    async fn purge_forever(&self) {
        let mut ticks = interval(PURGE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let before = self.clock.now().saturating_sub(self.retention);
            match in_batches(|rows| self.dogs.purge(before, rows)).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed expired idempotency keys and imports"),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove expired rows"),
            }
        }
    }
}

#[async_trait]
impl Component for ExpiryWorker {
    fn name(&self) -> &'static str {
        "expiry"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        // An interrupted purge needs no cleanup: the next one removes the remaining rows.
        tokio::select! {
            () = stop.requested() => {}
            () = self.purge_forever() => {}
        }
        Ok(())
    }
}
