//! Who may publish: the lease on the outbox, kept up while other work goes on.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Outbox, RepoError};
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

/// The lease as one holder sees it. It counts as held only as long as the last answer of the store reaches,
/// whatever has become of the store since.
pub(crate) struct Lease {
    outbox: Arc<dyn Outbox>,
    holder: Uuid,
    ttl: Duration,
    leader: IntGauge,
    until: watch::Sender<Option<Instant>>,
}

impl Lease {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, holder: Uuid, ttl: Duration, leader: IntGauge) -> Self {
        Self { outbox, holder, ttl, leader, until: watch::Sender::new(None) }
    }

    /// Takes the lease and renews it in time; never ends.
    pub(crate) async fn keep(&self) {
        loop {
            if let Err(error) = self.ask().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "outbox lease cannot be renewed");
            }
            self.leader.set(self.is_held().into());
            sleep(self.ttl / 3).await;
        }
    }

    /// Takes or renews the lease now; answers whether it is held.
    pub(crate) async fn ask(&self) -> Result<bool, RepoError> {
        let asked = Instant::now();
        let held = self.outbox.lease(self.holder, self.ttl).await?;
        let was_held = self.until.send_replace(held.then(|| asked + self.ttl)).is_some();
        if held != was_held {
            tracing::info!(holder = %self.holder, held, "outbox lease changed hands");
        }
        Ok(held)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Returns once the lease is held.
    pub(crate) async fn held(&self) {
        let mut until = self.until.subscribe();
        while !self.is_held() {
            // The sender lives in `self`, so a change is all that can end this.
            if until.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns once the lease is held no longer.
    pub(crate) async fn lost(&self) {
        let mut changes = self.until.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            match until {
                Some(until) if Instant::now() < until => {
                    tokio::select! {
                        () = sleep_until(until) => {
                            tracing::warn!(ttl = ?self.ttl, "outbox lease ran out before the store renewed it");
                        }
                        _ = changes.changed() => {}
                    }
                }
                _ => return,
            }
        }
    }

    /// Gives the lease up for others to take at once.
    pub(crate) async fn release(&self) {
        self.until.send_replace(None);
        self.leader.set(0);
        if let Err(error) = self.outbox.release(self.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "outbox lease cannot be released");
        }
    }
}
