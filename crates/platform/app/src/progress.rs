//! Whether a component makes progress: what it waits for, and since when.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::BoxError;
use tokio::time::Instant;

use crate::health::Check;

/// How long a component may make no progress unless it is made with another limit.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// The progress of one component, as its [`Check`]: it fails once the component has made none for longer than a limit.
/// Clones share one state. It begins as making progress.
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
    /// Progress that may be missing for `limit` before it counts as such.
    pub fn new(limit: Duration) -> Self {
        Self { limit, stall: Arc::default() }
    }

    /// Records that the component made progress, or has nothing to do.
    pub fn advanced(&self) {
        *self.lock() = None;
    }

    /// Records that the component has work and makes no progress. `reason` is shown to clients, followed by how long
    /// it has lasted since the last progress: a plain text without the cause of an error in it.
    pub fn stalled(&self, reason: impl Into<Cow<'static, str>>) {
        let reason = reason.into();
        let mut stall = self.lock();
        let since = stall.as_ref().map_or_else(Instant::now, |stall| stall.since);
        *stall = Some(Stall { since, reason });
    }

    /// What is wrong, once it has lasted for longer than the limit.
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
