//! Circuit breaker: stops calls to an upstream that fails repeatedly, so that callers fail at once and it can recover.
//!
//! A closed circuit counts failures in a row. Too many failures open it, and calls fail at once for a while. Then the
//! circuit is half-open and allows one call; its success closes the circuit, its failure opens it again. If it takes longer than
//! that while, another one is allowed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A circuit breaker. Clones share one circuit.
#[derive(Debug, Clone)]
pub struct Breaker {
    circuit: Arc<Mutex<Circuit>>,
    threshold: u32,
    pause: Duration,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// A call is under way; another one is permitted after `until`.
    HalfOpen {
        until: Instant,
    },
}

/// Permission for one call. If it is dropped without a result, because the call was cancelled, it does not count.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Breaker,
    /// Until when no other probe is permitted, if it is one.
    probe: Option<Instant>,
    recorded: bool,
}

impl Breaker {
    /// Creates a closed circuit that opens for `pause` after `threshold` failures in a row; 0 never opens it.
    pub fn new(threshold: u32, pause: Duration) -> Self {
        let circuit = Arc::new(Mutex::new(Circuit::Closed { failures: 0 }));
        Self { circuit, threshold, pause }
    }

    /// Permits a call. While the circuit is open, fails with the time until the next call may be permitted.
    pub fn permit(&self) -> Result<Permit, Duration> {
        let mut circuit = self.lock();
        let probe = match *circuit {
            Circuit::Closed { .. } => None,
            Circuit::Open { until } | Circuit::HalfOpen { until } => {
                let now = Instant::now();
                let left = until.saturating_duration_since(now);
                if !left.is_zero() {
                    return Err(left);
                }
                let until = now + self.pause;
                *circuit = Circuit::HalfOpen { until };
                Some(until)
            }
        };
        Ok(Permit { breaker: self.clone(), probe, recorded: false })
    }

    /// Whether calls fail at once, or only single ones are permitted.
    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), Circuit::Closed { .. })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, success: bool, probe: bool) {
        let mut circuit = self.lock();
        let failures = match (&*circuit, success) {
            // This call started before the circuit opened; only the probe decides now.
            (Circuit::Open { .. } | Circuit::HalfOpen { .. }, _) if !probe => return,
            (_, true) => 0,
            (Circuit::Closed { failures }, false) => failures.saturating_add(1),
            (Circuit::Open { .. } | Circuit::HalfOpen { .. }, false) => self.threshold,
        };
        *circuit = if self.threshold > 0 && failures >= self.threshold {
            Circuit::Open { until: Instant::now() + self.pause }
        } else {
            Circuit::Closed { failures }
        };
    }
}

impl Permit {
    /// Records whether the call succeeded.
    pub fn record(mut self, success: bool) {
        self.recorded = true;
        self.breaker.record(success, self.probe.is_some());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(probe) = self.probe.filter(|_| !self.recorded) else { return };
        let mut circuit = self.breaker.lock();
        if matches!(*circuit, Circuit::HalfOpen { until } if until == probe) {
            // The next call is the probe.
            *circuit = Circuit::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.permit().unwrap().record(false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_recovers() {
        let breaker = Breaker::new(3, PAUSE);
        fail(&breaker, 2);
        breaker.permit().unwrap().record(true);
        fail(&breaker, 3);
        assert_eq!(breaker.permit().unwrap_err(), PAUSE);
        advance(Duration::from_secs(4)).await;
        assert_eq!(breaker.permit().unwrap_err(), Duration::from_secs(6));
        advance(Duration::from_secs(6)).await;
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_err(), "one probe at a time");
        probe.record(true);
        fail(&breaker, 2);
        assert!(breaker.permit().is_ok(), "the count starts at zero again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_again() {
        let breaker = Breaker::new(1, PAUSE);
        fail(&breaker, 1);
        advance(PAUSE).await;
        fail(&breaker, 1);
        assert_eq!(breaker.permit().unwrap_err(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_does_not_block_the_next() {
        let breaker = Breaker::new(1, PAUSE);
        fail(&breaker, 1);
        advance(PAUSE).await;
        drop(breaker.permit().unwrap());
        breaker.permit().unwrap().record(true);
        assert!(breaker.permit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_takes_long_does_not_block_the_next() {
        let breaker = Breaker::new(1, PAUSE);
        fail(&breaker, 1);
        advance(PAUSE).await;
        let slow = breaker.permit().unwrap();
        assert_eq!(breaker.permit().unwrap_err(), PAUSE);
        advance(PAUSE).await;
        assert!(breaker.is_open());
        let next = breaker.permit().unwrap();
        drop(slow);
        assert_eq!(breaker.permit().unwrap_err(), PAUSE, "the next one is under way");
        next.record(true);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_result_does_not_close_it() {
        let breaker = Breaker::new(1, PAUSE);
        let late = breaker.permit().unwrap();
        fail(&breaker, 1);
        late.record(true);
        assert!(breaker.permit().is_err());
    }

    #[test]
    fn zero_never_opens_it() {
        let breaker = Breaker::new(0, PAUSE);
        fail(&breaker, 100);
        assert!(breaker.permit().is_ok());
    }
}
