//! Conformance suites: one list of cases per port, which every adapter has to pass on fresh state.
//!
//! An adapter's test file names a setup function; the port's macro expands to one test per case, so that a failure
//! names the adapter and the case. If the setup returns `None`, the test is skipped.

pub mod broker;
pub mod cache;
pub mod objects;

use std::any::Any;
use std::time::Duration;

/// Timeout of a step: longer than any case may take on a busy machine.
const CASE_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// An adapter with isolated state, and the resources of that state.
pub struct Fixture<P> {
    /// The adapter.
    pub port: P,
    excluded: &'static [&'static str],
    _resources: Box<dyn Any + Send>,
}

impl<P> Fixture<P> {
    /// Creates a fixture without further resources.
    pub fn new(port: P) -> Self {
        Self::with_resources((), port)
    }

    /// Creates a fixture that owns `resources`, such as a temporary directory.
    pub fn with_resources(resources: impl Any + Send, port: P) -> Self {
        Self { port, excluded: &[], _resources: Box::new(resources) }
    }

    /// Excludes cases by name, because the server of the adapter cannot pass them.
    #[must_use]
    pub const fn excluding(mut self, cases: &'static [&'static str]) -> Self {
        self.excluded = cases;
        self
    }

    /// Whether to run a case. If not, prints that it is skipped.
    pub fn includes(&self, case: &str) -> bool {
        let is_included = !self.excluded.contains(&case);
        if !is_included {
            crate::backends::skip(&format!("the server cannot pass {case}"));
        }
        is_included
    }
}

/// Waits until `find` returns a value; fails the case on a timeout.
async fn eventually<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(CASE_TIMEOUT, async {
        loop {
            if let Some(found) = find().await {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("timed out: {what}"))
}
