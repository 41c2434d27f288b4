//! Counters of a service, and counters in the memory of one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel_core::Cache;
use kennel_core::cache::CacheError;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;

use crate::Connected;

/// Capacity of the counters, in bytes. More than that, about 20,000, evict those that were not used for longest.
const CAPACITY_BYTES: u64 = 4 * 1024 * 1024;
/// Approximate size of a counter in the map, in addition to its key.
const OVERHEAD_BYTES: usize = 192;
/// Longer lifetimes are capped to this, so that no arithmetic on times can overflow.
const MAX_TTL: Duration = Duration::from_hours(365 * 24);
const MIN_TTL: Duration = Duration::from_millis(1);

/// Counters of one purpose, such as the quotas of providers. Clones share them.
#[derive(Clone)]
pub struct Counters {
    cache: Arc<dyn Cache>,
    name: &'static str,
}

impl Counters {
    /// Counters in `cache`, whose keys start with `name`.
    pub fn new(cache: &Connected, name: &'static str) -> Self {
        Self { cache: Arc::clone(&cache.cache), name }
    }

    /// Adds `by` to a counter and returns its new value; see [`Cache::increment`].
    pub async fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        self.cache.increment(&format!("{}:{key}", self.name), by, ttl).await
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A value beyond the range of `i64`.
#[derive(Debug, thiserror::Error)]
#[error("counter is out of range")]
struct Overflow;

#[derive(Debug, Clone, Copy)]
struct Counter {
    value: i64,
    expires_at: Instant,
}

/// Counters of one process. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryCounters {
    counters: moka::sync::Cache<String, Counter>,
}

impl Default for MemoryCounters {
    fn default() -> Self {
        let counters = moka::sync::Cache::builder()
            .max_capacity(CAPACITY_BYTES)
            .weigher(|key: &String, _| u32::try_from(key.len().saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX))
            // The default policy does not admit new keys to a full cache: a new counter would never count.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(AtItsEnd)
            .build();
        Self { counters }
    }
}

impl MemoryCounters {
    /// See [`kennel_core::Cache::increment`].
    pub(crate) fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        let now = Instant::now();
        let outcome = self.counters.entry_by_ref(key).and_compute_with(|entry| {
            let known = entry.map(moka::Entry::into_value).filter(|counter| counter.expires_at > now);
            let counter = known.unwrap_or_else(|| Counter { value: 0, expires_at: now + ttl.clamp(MIN_TTL, MAX_TTL) });
            counter.value.checked_add(by).map_or(Op::Nop, |value| Op::Put(Counter { value, ..counter }))
        });
        match outcome {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) => Ok(entry.into_value().value),
            CompResult::Unchanged(_) | CompResult::StillNone(_) | CompResult::Removed(_) => {
                Err(CacheError(Overflow.into()))
            }
        }
    }
}

/// Expires a counter when it says, also after it was changed.
struct AtItsEnd;

impl moka::Expiry<String, Counter> for AtItsEnd {
    fn expire_after_create(&self, _: &String, counter: &Counter, at: Instant) -> Option<Duration> {
        Some(counter.expires_at.saturating_duration_since(at))
    }

    fn expire_after_update(&self, _: &String, counter: &Counter, at: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(counter.expires_at.saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counters_of_different_purposes_are_separate() {
        let cache = Connected::memory(1024);
        let (quota, limit) = (Counters::new(&cache, "quota"), Counters::new(&cache, "limit"));
        let count = async |counters: &Counters| counters.increment("a", 1, Duration::from_hours(1)).await.unwrap();
        assert_eq!((count(&quota).await, count(&quota.clone()).await, count(&limit).await), (1, 2, 1));
    }

    #[test]
    fn new_counters_count_also_when_there_is_no_room() {
        let counters = MemoryCounters::default();
        for number in 0..30_000 {
            counters.increment(&format!("counter-{number}"), 1, Duration::from_hours(1)).unwrap();
        }
        for expected in 1..=3 {
            assert_eq!(counters.increment("new", 1, Duration::from_hours(1)).unwrap(), expected);
        }
        counters.counters.run_pending_tasks();
        assert!(counters.counters.weighted_size() <= CAPACITY_BYTES);
    }
}
