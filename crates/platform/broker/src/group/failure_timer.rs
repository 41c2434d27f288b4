//! Decides when repeated failures are reported.

use std::time::Duration;

use tokio::time::Instant;

/// Time since the first failure after the last success.
#[derive(Debug, Default)]
pub(crate) struct FailureTimer(Option<Instant>);

impl FailureTimer {
    /// Records a success.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Records a failure. Returns true when the work has failed for `limit` without a success; then again after another
    /// `limit`.
    pub(crate) fn failed(&mut self, limit: Duration) -> bool {
        let since = self.0.get_or_insert_with(Instant::now);
        let failure_timer = since.elapsed() >= limit;
        if failure_timer {
            *since = Instant::now();
        }
        failure_timer
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn only_continuous_failures_are_reported() {
        let mut failure_timer = FailureTimer::default();
        assert!(!failure_timer.failed(LIMIT));
        advance(LIMIT).await;
        failure_timer.clear();
        assert!(!failure_timer.failed(LIMIT));
        advance(LIMIT).await;
        assert!(failure_timer.failed(LIMIT));
        assert!(!failure_timer.failed(LIMIT), "reported already");
        advance(LIMIT).await;
        assert!(failure_timer.failed(LIMIT));
    }
}
