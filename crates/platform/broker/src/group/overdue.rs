//! Work that is tried again and again, and has failed for too long.

use std::time::Duration;

use tokio::time::Instant;

/// Since when some work has failed.
#[derive(Debug, Default)]
pub(crate) struct Overdue(Option<Instant>);

impl Overdue {
    /// It went well.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// It failed. True when it has done nothing else for `longest`, and then not again before that has passed once more.
    pub(crate) fn failed(&mut self, longest: Duration) -> bool {
        let since = self.0.get_or_insert_with(Instant::now);
        let overdue = since.elapsed() >= longest;
        if overdue {
            *since = Instant::now();
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn only_what_goes_on_failing_is_overdue() {
        let mut overdue = Overdue::default();
        assert!(!overdue.failed(LONGEST));
        advance(LONGEST).await;
        overdue.clear();
        assert!(!overdue.failed(LONGEST));
        advance(LONGEST).await;
        assert!(overdue.failed(LONGEST));
        assert!(!overdue.failed(LONGEST), "it was reported");
        advance(LONGEST).await;
        assert!(overdue.failed(LONGEST));
    }
}
