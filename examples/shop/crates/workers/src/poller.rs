//! The daemon `poller`.

use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_core::{BoxError, PageSize};
use shop_domain::ItemService;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(30);

/// Runs rounds until the process stops.
pub struct PollerDaemon(pub ItemService);

impl PollerDaemon {
    async fn round(&self) -> Result<(), BoxError> {
        let newest = self.0.list(None, PageSize::default()).await?;
        tracing::info!(count = newest.items.len(), "newest items");
        Ok(())
    }
}

#[async_trait]
impl Component for PollerDaemon {
    fn name(&self) -> &'static str {
        "poller"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        loop {
            // A failed round is not the end of the process.
            if let Err(error) = self.round().await {
                tracing::warn!(component = self.name(), error = &*error as &dyn std::error::Error, "round failed");
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
