//! The quota of a provider: how many requests it allows within a time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts the requests of the last `window`: there are never more than `limit` in any time of this length, wherever it
/// begins. A bucket that refills steadily would allow nearly twice as many after a quiet time.
#[derive(Debug)]
pub(super) struct Quota {
    /// 0 is no limit.
    limit: usize,
    window: Duration,
    state: Mutex<QuotaState>,
}

#[derive(Debug, Default)]
struct QuotaState {
    requests: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl Quota {
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self { limit: limit as usize, window, state: Mutex::default() }
    }

    /// Counts a request. Fails with the time until the next one is allowed.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let (mut state, now) = (self.lock(), Instant::now());
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        if self.limit == 0 {
            return Ok(());
        }
        while state.requests.front().is_some_and(|request| *request + self.window <= now) {
            state.requests.pop_front();
        }
        match state.requests.front() {
            Some(oldest) if state.requests.len() >= self.limit => Err(*oldest + self.window - now),
            _ => {
                state.requests.push_back(now);
                Ok(())
            }
        }
    }

    /// Allows no request for a while: the provider has counted more than we have.
    pub(super) fn pause(&self, time: Duration) {
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(Instant::now() + time));
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const WINDOW: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn no_window_has_more_requests_than_the_limit() {
        let quota = Quota::new(3, WINDOW);
        advance(WINDOW).await;
        let mut taken = Vec::new();
        for minute in 0..300 {
            if quota.take().is_ok() {
                taken.push(minute);
            }
            advance(Duration::from_mins(1)).await;
        }
        assert_eq!(taken, [0, 1, 2, 60, 61, 62, 120, 121, 122, 180, 181, 182, 240, 241, 242]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_when_the_next_request_is_allowed() {
        let quota = Quota::new(1, WINDOW);
        quota.take().unwrap();
        advance(Duration::from_mins(20)).await;
        let left = quota.take().unwrap_err();
        assert_eq!(left, Duration::from_mins(40));
        advance(left).await;
        quota.take().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_counts_no_requests_and_the_longest_one_holds() {
        let quota = Quota::new(1, WINDOW);
        quota.pause(Duration::from_mins(5));
        quota.pause(Duration::from_mins(1));
        assert_eq!(quota.take().unwrap_err(), Duration::from_mins(5));
        advance(Duration::from_mins(5)).await;
        quota.take().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let quota = Quota::new(0, WINDOW);
        assert!((0..10_000).all(|_| quota.take().is_ok()));
    }
}
