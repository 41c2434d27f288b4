//! How a component learns that it is to end.

use tokio_util::sync::CancellationToken;

/// Tells a component to end: first gracefully, and past the deadline at once. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    graceful: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// One that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes once the component is to take no new work, finish the work in hand and return.
    /// Loses nothing when its future is dropped.
    pub async fn requested(&self) {
        self.graceful.cancelled().await;
    }

    /// Whether [`Stop::requested`] has completed.
    pub fn is_requested(&self) -> bool {
        self.graceful.is_cancelled()
    }

    /// Completes once the component is to drop the work in hand and return at once.
    /// Loses nothing when its future is dropped.
    pub async fn aborted(&self) {
        self.hard.cancelled().await;
    }

    /// Whether [`Stop::aborted`] has completed.
    pub fn is_aborted(&self) -> bool {
        self.hard.is_cancelled()
    }

    /// Asks for a graceful end.
    pub fn request(&self) {
        self.graceful.cancel();
    }

    /// Asks for an immediate end, which includes the graceful one.
    pub fn abort(&self) {
        self.graceful.cancel();
        self.hard.cancel();
    }

    /// A stop of its own that ends with this one, for a part of a component.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { graceful: self.graceful.child_token(), hard: self.hard.child_token() }
    }
}
