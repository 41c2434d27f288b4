//! The quota of a provider: how many requests it allows within a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use kennel_cache::Counters;
use kennel_core::Clock;
use kennel_core::cache::CacheError;
use tokio::time::Instant;

/// Number of slices of a window that are counted for all replicas.
const SLICES: i64 = 12;

/// Counts the requests of the last `window`: there are never more than `limit` in any time of this length, wherever it
/// begins. A bucket that refills steadily would allow nearly twice as many after a quiet time.
///
/// They are counted twice: exactly, in this process; and for all replicas in the shared cache, where a restart does not
/// reset them. Without an answer of the cache, each replica has the quota for itself.
pub(super) struct Quota {
    /// 0 is no limit.
    limit: u32,
    window: Duration,
    shared: SharedCounts,
    state: Mutex<QuotaState>,
}

/// Requests of all replicas, by slices of the window.
pub(super) struct SharedCounts {
    /// What the quota is of; a prefix of keys.
    pub(super) name: &'static str,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct QuotaState {
    requests: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl Quota {
    pub(super) fn new(limit: u32, window: Duration, shared: SharedCounts) -> Self {
        Self { limit, window, shared, state: Mutex::default() }
    }

    /// Counts a request. Fails with the time until the next one is allowed.
    pub(super) async fn take(&self) -> Result<(), Duration> {
        self.take_here()?;
        if self.limit == 0 {
            return Ok(());
        }
        match self.shared.take(i64::from(self.limit), self.window).await {
            Ok(taken) => taken.inspect_err(|_| {
                self.lock().requests.pop_back();
            }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(provider = self.shared.name, error, "quota is counted for this replica only");
                Ok(())
            }
        }
    }

    /// Counts a request of this process.
    fn take_here(&self) -> Result<(), Duration> {
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
            Some(oldest) if state.requests.len() >= self.limit as usize => Err(*oldest + self.window - now),
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

impl SharedCounts {
    /// Counts a request, if all replicas together have sent less than `limit` within `window`.
    ///
    /// Whatever else is counted meanwhile, of the requests that are allowed within a window, the one that was counted last
    /// has seen all others.
    async fn take(&self, limit: i64, window: Duration) -> Result<Result<(), Duration>, CacheError> {
        let slice_millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX) / SLICES;
        let now = self.clock.now().as_millis();
        let slice = now.div_euclid(slice_millis);
        let counted = self.count(slice, 1, window).await?;
        // A window begins in one of the earlier slices, and the clocks of other replicas may be one slice ahead.
        let others: Vec<_> = (slice - SLICES..slice).chain([slice + 1]).collect();
        let counts = try_join_all(others.iter().map(|other| self.count(*other, 0, window))).await?;
        if counted + counts.iter().sum::<i64>() <= limit {
            return Ok(Ok(()));
        }
        // Not counted back is only a request less; it must not look as if the counts were unknown.
        self.count(slice, -1, window).await.ok();
        let oldest = others.iter().zip(counts).find(|(_, count)| *count > 0).map_or(slice, |(other, _)| *other);
        let left = (oldest + SLICES + 1).saturating_mul(slice_millis) - now;
        Ok(Err(Duration::from_millis(u64::try_from(left).unwrap_or_default())))
    }

    async fn count(&self, slice: i64, by: i64, window: Duration) -> Result<i64, CacheError> {
        self.counters.increment(&format!("{}:{slice}", self.name), by, window * 2).await
    }
}

#[cfg(test)]
mod tests {
    use kennel_cache::Connected;
    use kennel_core::{ManualClock, Timestamp};
    use tokio::time::advance;

    use super::*;

    const WINDOW: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    /// Replicas of a service, which share a cache, and their clock.
    struct Replicas {
        cache: Connected,
        clock: Arc<ManualClock>,
    }

    impl Replicas {
        fn new() -> Self {
            let start = Timestamp::from_millis(1_764_500_000_000).unwrap();
            Self { cache: Connected::memory(1 << 20), clock: Arc::new(ManualClock::new(start)) }
        }

        fn start(&self, limit: u32) -> Quota {
            let counters = Counters::new(&self.cache, "quotas");
            let clock = Arc::<ManualClock>::clone(&self.clock);
            Quota::new(limit, WINDOW, SharedCounts { name: "giphy", counters, clock })
        }
    }

    fn alone(limit: u32) -> Quota {
        Replicas::new().start(limit)
    }

    #[tokio::test(start_paused = true)]
    async fn all_replicas_share_the_limit_and_a_restart_does_not_reset_it() {
        let replicas = Replicas::new();
        let (one, mut other) = (replicas.start(5), replicas.start(5));
        let mut taken = Vec::new();
        for minute in 0..400_u32 {
            for quota in [&one, &other] {
                if quota.take().await.is_ok() {
                    taken.push(minute);
                }
            }
            if minute % 7 == 0 {
                other = replicas.start(5);
            }
            replicas.clock.advance(MINUTE);
            advance(MINUTE).await;
        }
        assert_eq!(taken[..5], [0, 0, 1, 1, 2], "at once, and by both");
        let windows = taken.windows(6).all(|six| six[5] - six[0] >= 60);
        assert!(windows, "six within an hour: {taken:?}");
        assert!(taken.len() >= 5 * 6, "nearly as many as the limit allows: {taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_of_all_replicas_are_counted() {
        let replicas = Replicas::new();
        let quotas = [replicas.start(20), replicas.start(20)];
        let calls = (0..100).map(|number| quotas[number % 2].take());
        let taken = futures_util::future::join_all(calls).await.into_iter().flatten().count();
        assert!((1..=20).contains(&taken), "{taken}");
        let mut total = taken;
        while quotas[total % 2].take().await.is_ok() {
            total += 1;
        }
        assert_eq!(total, 20, "what was refused is not counted");
        let left = replicas.start(20).take().await.unwrap_err();
        assert!(left + 5 * MINUTE > WINDOW && left <= WINDOW + 5 * MINUTE, "{left:?}");
        replicas.clock.advance(left);
        replicas.start(20).take().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_has_more_requests_than_the_limit() {
        let quota = alone(3);
        advance(WINDOW).await;
        let mut taken = Vec::new();
        for minute in 0..300 {
            if quota.take_here().is_ok() {
                taken.push(minute);
            }
            advance(MINUTE).await;
        }
        assert_eq!(taken, [0, 1, 2, 60, 61, 62, 120, 121, 122, 180, 181, 182, 240, 241, 242]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_when_the_next_request_is_allowed() {
        let quota = alone(1);
        quota.take_here().unwrap();
        advance(Duration::from_mins(20)).await;
        let left = quota.take_here().unwrap_err();
        assert_eq!(left, Duration::from_mins(40));
        advance(left).await;
        quota.take_here().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_counts_no_requests_and_the_longest_one_holds() {
        let quota = alone(1);
        quota.pause(Duration::from_mins(5));
        quota.pause(Duration::from_mins(1));
        assert_eq!(quota.take().await.unwrap_err(), Duration::from_mins(5));
        advance(Duration::from_mins(5)).await;
        quota.take().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let quota = alone(0);
        for _ in 0..10_000 {
            quota.take().await.unwrap();
        }
    }
}
