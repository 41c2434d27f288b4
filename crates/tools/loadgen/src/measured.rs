//! What a load measured.

use std::collections::BTreeMap;
use std::time::Duration;

/// The responses of a load.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// How long the load ran.
    pub took: Duration,
    failures: BTreeMap<u16, u64>,
    /// One for each response.
    latencies: Vec<Duration>,
}

/// Whether a status is a success.
pub(crate) const fn is_success(status: u16) -> bool {
    matches!(status, 200..300 | 304)
}

impl Measured {
    pub(crate) fn record(&mut self, status: u16, latency: Duration) {
        if is_success(status) {
            self.latencies.push(latency);
        } else {
            *self.failures.entry(status).or_default() += 1;
        }
    }

    /// Adds the responses of another caller, or of a later round.
    pub fn add(&mut self, other: Self) {
        for (status, count) in other.failures {
            *self.failures.entry(status).or_default() += count;
        }
        self.took += other.took;
        self.latencies.extend(other.latencies);
    }

    /// The number of responses with another status than 2xx and 304, by status.
    pub const fn failures(&self) -> &BTreeMap<u16, u64> {
        &self.failures
    }

    /// The number of responses with another status than 2xx and 304.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The number of successful responses.
    pub fn responses(&self) -> usize {
        self.latencies.len()
    }

    /// Successful responses per second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is small")]
    pub fn rate(&self) -> f64 {
        self.responses() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that a fraction of the responses, 0.0 to 1.0, did not exceed; zero without responses.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn percentile(&self, fraction: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        let rank = (fraction.clamp(0.0, 1.0) * self.responses().saturating_sub(1) as f64).round() as usize;
        if sorted.is_empty() { Duration::ZERO } else { *sorted.select_nth_unstable(rank).1 }
    }
}

/// The median; the mean of the two values in the middle of an even number, zero of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match &values[..] {
        [] => 0.0,
        sorted if sorted.len().is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        sorted => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [(vec![], 0.0), (vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
    }
}
