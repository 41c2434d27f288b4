//! Tracks whether a component makes progress, and since when and why it does not.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::BoxError;
use tokio::time::Instant;

use crate::health::Check;

/// Default limit on the time without progress.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// Progress of one component, as a [`Check`] that fails when the component has made none for longer than a limit.
/// Clones share state. Initially the component makes progress.
#[derive(Debug, Clone)]
pub struct Progress {
    limit: Duration,
    stall: Arc<Mutex<Option<Stall>>>,
}

#[derive(Debug)]
struct Stall {
    since: Instant,
    reason: Cow<'static, str>,
}

impl Progress {
    /// Creates a tracker that reports a stall after `limit` without progress.
    pub fn new(limit: Duration) -> Self {
        Self { limit, stall: Arc::default() }
    }

    /// Records that the component made progress, or has nothing to do.
    pub fn advanced(&self) {
        *self.lock() = None;
    }

    /// Records that the component has work and makes no progress. Clients see `reason`, followed by the time since the
    /// last progress, so it must not contain error details.
    pub fn stalled(&self, reason: impl Into<Cow<'static, str>>) {
        let reason = reason.into();
        let mut stall = self.lock();
        let since = stall.as_ref().map_or_else(Instant::now, |stall| stall.since);
        *stall = Some(Stall { since, reason });
    }

    /// Returns the stall, if it has lasted longer than the limit.
    fn overdue(&self) -> Option<String> {
        let stall = self.lock();
        let stall = stall.as_ref().filter(|stall| stall.since.elapsed() > self.limit)?;
        Some(format!("{} for {} s", stall.reason, stall.since.elapsed().as_secs()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stall>> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

#[async_trait]
impl Check for Progress {
    async fn check(&self) -> Result<(), BoxError> {
        self.overdue().map_or(Ok(()), |reason| Err(reason.into()))
    }

    fn detail(&self) -> Option<String> {
        self.overdue()
    }
}
