//! Exponential backoff with jitter.

use std::time::Duration;

/// Delays that double from `min` up to `max`. Each is shortened by up to half at random, so that processes do not retry
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub min: Duration,
    /// The maximum delay.
    pub max: Duration,
}

impl Backoff {
    /// Returns the delay after this many consecutive failures.
    pub fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.min.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };

    #[test]
    fn delays_double_up_to_the_maximum() {
        for (failures, full) in [(0, 100), (1, 100), (2, 200), (3, 400), (7, 5_000), (u32::MAX, 5_000)] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let delay = BACKOFF.delay(failures);
                assert!(delay >= full / 2 && delay <= full, "{failures}: {delay:?}");
            }
        }
    }

    #[test]
    fn delays_are_random() {
        let first = BACKOFF.delay(5);
        assert!((0..100).any(|_| BACKOFF.delay(5) != first));
    }
}
