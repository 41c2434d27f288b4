//! What every adapter of a port must do: one list of cases per port, run by each adapter on fresh state.
//!
//! An adapter's test file names a setup function; the port's macro expands to one test per case, so that a failure
//! names the adapter and the case. A setup that answers `None` skips.

pub mod broker;
pub mod cache;
pub mod objects;

use std::any::Any;
use std::time::Duration;

/// Longer than any case may take on a busy machine, and far shorter than a hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at something that is about to change.
const POLL: Duration = Duration::from_millis(5);

/// An adapter in a state of its own, and what that state lives in.
pub struct Fresh<P> {
    /// The adapter.
    pub port: P,
    left_out: &'static [&'static str],
    _home: Box<dyn Any + Send>,
}

impl<P> Fresh<P> {
    /// An adapter that needs nothing else.
    pub fn new(port: P) -> Self {
        Self::within((), port)
    }

    /// An adapter that lives in `home`, such as a temporary directory.
    pub fn within(home: impl Any + Send, port: P) -> Self {
        Self { port, left_out: &[], _home: Box::new(home) }
    }

    /// Leaves out cases by name, because the server behind the adapter cannot pass them.
    #[must_use]
    pub const fn leaving_out(mut self, cases: &'static [&'static str]) -> Self {
        self.left_out = cases;
        self
    }

    /// Whether to run a case; said aloud when not.
    pub fn takes(&self, case: &str) -> bool {
        let takes = !self.left_out.contains(&case);
        if !takes {
            crate::backends::skip(&format!("the server cannot pass {case}"));
        }
        takes
    }
}

/// Waits until `look` finds something; fails the case when that takes too long.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"))
}
