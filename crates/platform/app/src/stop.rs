//! The stop signal of a component.

use tokio_util::sync::CancellationToken;

/// Stop signal for a component: graceful first, then, after the deadline, immediate. Clones share state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    graceful: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// Creates a signal that is not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes when the component has to accept no new work, finish the work in progress and return. Cancel-safe.
    pub async fn requested(&self) {
        self.graceful.cancelled().await;
    }

    /// Returns whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.graceful.is_cancelled()
    }

    /// Completes when the component has to drop the work in progress and return immediately. Cancel-safe.
    pub async fn aborted(&self) {
        self.hard.cancelled().await;
    }

    /// Requests a graceful end.
    pub fn request(&self) {
        self.graceful.cancel();
    }

    /// Requests an immediate end, which includes the graceful one.
    pub fn abort(&self) {
        self.graceful.cancel();
        self.hard.cancel();
    }

    /// Creates a child signal, for a sub-task of a component. A request to the parent also reaches the child.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { graceful: self.graceful.child_token(), hard: self.hard.child_token() }
    }
}
