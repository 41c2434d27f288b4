//! Exponential backoff with jitter.

use std::time::Duration;

/// Delays between attempts: they double from `min` up to `max`, and each is shortened at random by up to half, so that
/// many processes do not retry at the same time.
///
/// This is "equal jitter" of "Exponential Backoff And Jitter" by Marc Brooker (AWS Architecture Blog, 2015): with
/// `full = min(max, min * 2^(failures - 1))`, the delay is `full / 2 + random(0..=full / 2)`. In contrast to "full
/// jitter" it never retries immediately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest delay after the first failure.
    min: Duration,
    /// The longest delay.
    max: Duration,
}

impl Backoff {
    /// Creates a backoff from `min` to `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// Returns a random delay after this many consecutive failures; zero counts as one.
    pub fn delay(&self, failures: u32) -> Duration {
        self.delay_at(failures, rand::random())
    }

    /// Returns the delay for a random number from 0 to 1.
    fn delay_at(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.min.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

    #[test]
    fn delays_double_up_to_the_maximum() {
        for (failures, full) in [(0, 100), (1, 100), (2, 200), (3, 400), (7, 5_000), (u32::MAX, 5_000)] {
            let full = Duration::from_millis(full);
            assert_eq!(BACKOFF.delay_at(failures, 0.0), full / 2, "{failures}");
            assert_eq!(BACKOFF.delay_at(failures, 1.0), full, "{failures}");
            let delay = BACKOFF.delay(failures);
            assert!(delay >= full / 2 && delay <= full, "{failures}: {delay:?}");
        }
    }

    #[test]
    fn delays_are_random() {
        let first = BACKOFF.delay(5);
        assert!((0..100).any(|_| BACKOFF.delay(5) != first));
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let max = Duration::from_secs(u64::MAX / 2);
        assert!(Backoff::new(max, Duration::MAX).delay_at(1, 1.0) <= Duration::MAX);
        assert_eq!(Backoff::new(Duration::ZERO, max).delay(u32::MAX), Duration::ZERO);
    }
}
