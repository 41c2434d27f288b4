//! Follows a source.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Phase, Stop};
use kennel_core::{Backoff, BoxError};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::{LiveSettings, LiveSource, Values};

/// How long the start waits for the values.
const START_LIMIT: Duration = Duration::from_secs(5);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// The component that follows a source. It starts before servers and workers, which so have the values from the first
/// moment; without them after some seconds, they start with the defaults.
pub struct LiveWatch {
    source: Box<dyn LiveSource>,
    sender: watch::Sender<Arc<Values>>,
    failures: u32,
}

impl LiveWatch {
    /// Follows `source`. The values are those of the settings, whose keys are below `service`.
    pub fn new(service: &'static str, source: Box<dyn LiveSource>) -> (Self, LiveSettings) {
        let (sender, receiver) = watch::channel(Arc::default());
        (Self { source, sender, failures: 0 }, LiveSettings::new(service, receiver))
    }

    async fn follow(&mut self) {
        match self.source.next().await {
            Ok(values) => {
                self.failures = 0;
                self.sender.send_if_modified(|current| {
                    let is_changed = **current != values;
                    if is_changed {
                        tracing::info!(count = values.len(), "live settings have changed");
                        *current = Arc::new(values);
                    }
                    is_changed
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "live settings cannot be read, the last values apply");
                self.failures += 1;
                sleep(BACKOFF.delay(self.failures)).await;
            }
        }
    }
}

#[async_trait]
impl Component for LiveWatch {
    fn name(&self) -> &'static str {
        "live-settings"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        if timeout(START_LIMIT, self.follow()).await.is_err() {
            tracing::warn!("the source of live settings does not answer, the defaults apply");
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = self.follow() => {}
            }
        }
    }
}
