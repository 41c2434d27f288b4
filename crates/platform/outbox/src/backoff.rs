//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from `min` up to `max`, each shortened by up to half at random so that many do not try at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row.
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
    fn waits_double_up_to_the_longest() {
        for (failures, full) in [(0, 100), (1, 100), (2, 200), (3, 400), (7, 5_000), (u32::MAX, 5_000)] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let delay = BACKOFF.delay(failures);
                assert!(delay >= full / 2 && delay <= full, "{failures}: {delay:?}");
            }
        }
    }

    #[test]
    fn waits_differ() {
        let first = BACKOFF.delay(5);
        assert!((0..100).any(|_| BACKOFF.delay(5) != first));
    }
}
