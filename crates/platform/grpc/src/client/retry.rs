//! Limits retries to a share of all calls.

use std::sync::atomic::{AtomicU32, Ordering};

/// Tenths of a retry that each call adds.
const TENTHS_PER_CALL: u32 = 1;
/// Tenths that a retry costs.
const TENTHS_PER_RETRY: u32 = 10;

/// A bucket of retries: a server that fails for all calls gets at most a tenth more of them.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tenths: AtomicU32,
    max: u32,
}

impl RetryBudget {
    /// A full budget of so many retries.
    pub(crate) fn new(retries: u32) -> Self {
        let max = retries.saturating_mul(TENTHS_PER_RETRY);
        Self { tenths: AtomicU32::new(max), max }
    }

    /// Counts a call.
    pub(crate) fn deposit(&self) {
        let add = |tenths: u32| Some(tenths.saturating_add(TENTHS_PER_CALL).min(self.max));
        self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
    }

    /// Takes a retry. Returns false if there is none left.
    pub(crate) fn withdraw(&self) -> bool {
        let take = |tenths: u32| tenths.checked_sub(TENTHS_PER_RETRY);
        self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_calls_pay_for_a_retry() {
        let budget = RetryBudget::new(2);
        assert!(budget.withdraw() && budget.withdraw() && !budget.withdraw());
        for _ in 0..9 {
            budget.deposit();
        }
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw() && !budget.withdraw());
        for _ in 0..100 {
            budget.deposit();
        }
        assert!(budget.withdraw() && budget.withdraw() && !budget.withdraw(), "no more than at the start");
        assert!(!RetryBudget::new(0).withdraw());
    }
}
