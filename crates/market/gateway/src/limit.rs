//! Rate limits: requests of a caller to a route in a window of time.
//!
//! Windows are aligned to the clock. So a caller can send two windows' worth around the end of one, and no more than one after
//! that. Counters are shared by all replicas with `CACHE=redis`; while Redis is unreachable, each replica counts for itself.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_cache::{Connected, Counters};
use kennel_core::{Clock, ErrorKind};
use kennel_http::HttpError;

use crate::metrics::GatewayMetrics;
use crate::routes::LimitPolicy;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// A counter lives a little longer than its window, so that clocks need not agree.
const MARGIN_SECS: u64 = 5;

/// Counts requests.
#[derive(Clone)]
pub(crate) struct Limiter {
    shared: Counters,
    local: Counters,
    clock: Arc<dyn Clock>,
    metrics: GatewayMetrics,
}

/// Where a caller stands after one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing<'a> {
    policy: &'a LimitPolicy,
    remaining: u32,
    /// Seconds until the window ends, at least one.
    reset: u32,
    pub(crate) is_allowed: bool,
}

impl Limiter {
    pub(crate) fn new(shared: Counters, clock: Arc<dyn Clock>, metrics: GatewayMetrics) -> Self {
        let local = Counters::new(&Connected::memory(1), "gateway.local");
        Self { shared, local, clock, metrics }
    }

    /// Counts a request of `caller` to `route`.
    pub(crate) async fn count<'a>(&self, policy: &'a LimitPolicy, route: &str, caller: &str) -> Standing<'a> {
        let now = u64::try_from(self.clock.now().as_millis()).unwrap_or_default();
        let window_millis = u64::from(policy.window) * 1_000;
        let (window, into) = (now / window_millis, now % window_millis);
        let key = format!("{}:{route}:{window}:{caller}", policy.name);
        let ttl = Duration::from_secs(u64::from(policy.window) + MARGIN_SECS);
        let count = match self.shared.increment(&key, 1, ttl).await {
            Ok(count) => count,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "rate limit is counted locally");
                self.metrics.rate_limit_local();
                // In memory it fails only beyond the range of its numbers.
                self.local.increment(&key, 1, ttl).await.unwrap_or(i64::MAX)
            }
        };
        let standing = Standing::new(policy, count, window_millis - into);
        self.metrics.rate_limited(&policy.name, standing.is_allowed);
        standing
    }
}

impl<'a> Standing<'a> {
    fn new(policy: &'a LimitPolicy, count: i64, millis_left: u64) -> Self {
        let remaining = i64::from(policy.requests) - count;
        Self {
            policy,
            remaining: u32::try_from(remaining).unwrap_or_default(),
            reset: u32::try_from(millis_left.div_ceil(1_000)).unwrap_or(u32::MAX).max(1),
            is_allowed: remaining >= 0,
        }
    }

    /// Adds the pair of headers of draft-ietf-httpapi-ratelimit-headers-10, in place of those of an upstream.
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let LimitPolicy { name, requests, window } = self.policy;
        let (remaining, reset) = (self.remaining, self.reset);
        let pair = [
            (POLICY, format!("\"{name}\";q={requests};w={window}")),
            (LIMIT, format!("\"{name}\";r={remaining};t={reset}")),
        ];
        for (name, value) in pair {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    pub(crate) fn refusal(&self) -> HttpError {
        let detail = format!("more than {} requests in {} seconds", self.policy.requests, self.policy.window);
        HttpError::new(ErrorKind::RateLimited)
            .with_detail(detail)
            .with_retry_after(Duration::from_secs(self.reset.into()))
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use prometheus::Registry;

    use super::*;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0).unwrap()
        }
    }

    fn limiter(shared: &Connected, millis: i64) -> Limiter {
        let metrics = GatewayMetrics::register(&Registry::new()).unwrap();
        Limiter::new(Counters::new(shared, "gateway.rate"), Arc::new(At(millis)), metrics)
    }

    fn policy() -> LimitPolicy {
        LimitPolicy { name: "data".to_owned(), requests: 2, window: 60 }
    }

    #[tokio::test]
    async fn each_caller_has_its_own_window() {
        let (shared, policy) = (Connected::memory(1), policy());
        let first = limiter(&shared, 600_000);
        let allowed = async |limiter: &Limiter, route, caller| limiter.count(&policy, route, caller).await.is_allowed;
        for expected in [true, true, false, false] {
            assert_eq!(allowed(&first, "candles", "a").await, expected);
        }
        assert!(allowed(&first, "candles", "b").await && allowed(&first, "gaps", "a").await);
        assert!(!allowed(&limiter(&shared, 659_999), "candles", "a").await, "another replica counts along");
        assert!(allowed(&limiter(&shared, 660_000), "candles", "a").await, "the next window");
    }

    #[tokio::test]
    async fn the_headers_say_where_a_caller_stands() {
        let policy = policy();
        let shared = Connected::memory(1);
        let limiter = limiter(&shared, 630_500);
        let mut headers = HeaderMap::new();
        limiter.count(&policy, "candles", "a").await.describe(&mut headers);
        assert_eq!(headers[POLICY], r#""data";q=2;w=60"#);
        assert_eq!(headers[LIMIT], r#""data";r=1;t=30"#);
        let refused = Standing::new(&policy, 3, 1);
        assert!(!refused.is_allowed);
        refused.describe(&mut headers);
        assert_eq!(headers[LIMIT], r#""data";r=0;t=1"#, "rounded up");
    }

    #[tokio::test]
    async fn without_shared_counters_each_replica_counts() {
        let policy = policy();
        let limiter = limiter(&Connected::none(), 0);
        for expected in [true, true, false] {
            assert_eq!(limiter.count(&policy, "candles", "a").await.is_allowed, expected);
        }
    }
}
