//! Samples of frames, as venues have sent them.

use std::time::Duration;

use market_domain::Venue;
use tokio::time::Instant;

/// The shortest pause between two samples.
const PAUSE: Duration = Duration::from_secs(1);
/// What is longer is cut.
const MAX_BYTES: usize = 2_048;

/// Logs one of several frames: at most one a second, and its start.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// How many frames there are for each sample; 0 for no samples.
    every: u32,
    passed: u32,
    next: Option<Instant>,
}

impl Sampler {
    pub(crate) fn new(every: u32) -> Self {
        Self { every, ..Self::default() }
    }

    pub(crate) fn sample(&mut self, venue: Venue, frame: &str) {
        if self.is_due(Instant::now) {
            tracing::info!(%venue, bytes = frame.len(), frame = start(frame), "sample of the frames");
        }
    }

    fn is_due(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.every == 0 {
            return false;
        }
        self.passed += 1;
        if self.passed < self.every {
            return false;
        }
        let now = now();
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        (self.passed, self.next) = (0, Some(now + PAUSE));
        true
    }
}

fn start(frame: &str) -> &str {
    &frame[..frame.floor_char_boundary(MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_few_and_short() {
        let now = Instant::now();
        let mut off = Sampler::new(0);
        assert!((0..100).all(|_| !off.is_due(|| now)));
        let mut sampler = Sampler::new(10);
        let due: Vec<_> = (1..=100).filter(|_| sampler.is_due(|| now)).collect();
        assert_eq!(due, [10], "one a second");
        assert!(sampler.is_due(|| now + PAUSE), "the count is reached");
        assert!(!sampler.is_due(|| now + 2 * PAUSE));
        assert_eq!(start(&"\u{fc}".repeat(2_000)).len(), 2_048);
        assert_eq!(start("{}"), "{}");
    }
}
