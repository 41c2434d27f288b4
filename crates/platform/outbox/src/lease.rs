//! The lease on the outbox, which decides who publishes. It is renewed in the background.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Outbox, RepoError};
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

/// The lease from the view of one holder. It counts as held until `ttl` after the start of the last successful call, so
/// that this process stops publishing before the store can grant the lease to another one.
pub(crate) struct Lease {
    outbox: Arc<dyn Outbox>,
    holder: Uuid,
    ttl: Duration,
    leader: IntGauge,
    valid_until: watch::Sender<Option<Instant>>,
}

impl Lease {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, holder: Uuid, ttl: Duration, leader: IntGauge) -> Self {
        Self { outbox, holder, ttl, leader, valid_until: watch::Sender::new(None) }
    }

    /// Acquires the lease and renews it three times per `ttl`; never returns.
    pub(crate) async fn run(&self) {
        loop {
            if let Err(error) = self.acquire().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot renew outbox lease");
            }
            self.leader.set(self.is_held().into());
            sleep(self.ttl / 3).await;
        }
    }

    /// Acquires or renews the lease now; returns whether it is held.
    pub(crate) async fn acquire(&self) -> Result<bool, RepoError> {
        let asked = Instant::now();
        let held = self.outbox.lease(self.holder, self.ttl).await?;
        let was_held = self.valid_until.send_replace(held.then(|| asked + self.ttl)).is_some();
        if held != was_held {
            let message = if held { "outbox lease acquired" } else { "outbox lease lost" };
            tracing::info!(holder = %self.holder, "{message}");
        }
        Ok(held)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.valid_until.borrow().is_some_and(|valid_until| Instant::now() < valid_until)
    }

    /// Waits until the lease is held.
    pub(crate) async fn held(&self) {
        let mut valid_until = self.valid_until.subscribe();
        while !self.is_held() {
            // The sender is a field of `self`, so this cannot fail.
            if valid_until.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the lease is not held any more.
    pub(crate) async fn lost(&self) {
        let mut changes = self.valid_until.subscribe();
        loop {
            let valid_until = *changes.borrow_and_update();
            match valid_until {
                Some(valid_until) if Instant::now() < valid_until => {
                    tokio::select! {
                        () = sleep_until(valid_until) => {
                            tracing::warn!(ttl = ?self.ttl, "outbox lease expired before it was renewed");
                        }
                        _ = changes.changed() => {}
                    }
                }
                _ => return,
            }
        }
    }

    /// Releases the lease, so that another process can acquire it immediately.
    pub(crate) async fn release(&self) {
        self.valid_until.send_replace(None);
        self.leader.set(0);
        if let Err(error) = self.outbox.release(self.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot release outbox lease");
        }
    }
}
