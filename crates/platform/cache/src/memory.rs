//! In-memory cache, bounded by bytes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup, Memo};

use crate::counters::MemoryCounters;
use crate::locks::MemoryLocks;

/// Approximate overhead of an entry in the map, in addition to its key and value.
const OVERHEAD_BYTES: usize = 128;
/// Longer lifetimes are capped to this, so that no arithmetic on times can overflow.
const MAX_TTL: Duration = Duration::from_hours(365 * 24);

#[derive(Clone)]
struct MemoryEntry {
    value: Bytes,
    ttl: Duration,
    memo: Memo,
}

/// Stores entries until they expire or are evicted. Cheap to clone; clones share the entries.
#[derive(Clone)]
pub struct MemoryCache {
    entries: moka::sync::Cache<String, MemoryEntry>,
    counters: MemoryCounters,
    locks: MemoryLocks,
}

impl MemoryCache {
    /// Creates a cache of about `capacity_bytes` bytes of keys, values and overhead.
    pub fn new(capacity_bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|key: &String, entry: &MemoryEntry| weight(key, entry))
            .expire_after(PerEntry)
            .build();
        Self { entries, counters: MemoryCounters::default(), locks: MemoryLocks::default() }
    }

    pub(crate) fn find(&self, key: &str) -> Option<Lookup> {
        self.entries.get(key).map(|entry| Lookup::Hit { value: entry.value, depth: 0, memo: entry.memo })
    }

    pub(crate) fn insert(&self, key: &str, value: Bytes, ttl: Duration) {
        if ttl.is_zero() {
            self.invalidate(key);
        } else {
            let ttl = ttl.min(MAX_TTL);
            self.entries.insert(key.to_owned(), MemoryEntry { value, ttl, memo: Memo::new() });
        }
    }

    pub(crate) fn invalidate(&self, key: &str) {
        self.entries.invalidate(key);
    }

    #[cfg(feature = "redis")]
    pub(crate) fn invalidate_all(&self) {
        self.entries.invalidate_all();
    }

    /// Returns the weight of the entries in bytes, after pending removals.
    pub fn weighed_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

fn weight(key: &str, entry: &MemoryEntry) -> u32 {
    // Twice: as bytes, and decoded.
    let value = entry.value.len().saturating_mul(2);
    let bytes = key.len().saturating_add(value).saturating_add(OVERHEAD_BYTES);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.entries.get(key).map(|entry| entry.value))
    }

    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        Ok(self.find(key).unwrap_or_else(|| Lookup::Miss(Lease::default())))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.insert(key, value, ttl);
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.invalidate(key);
        Ok(())
    }

    async fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        self.counters.increment(key, by, ttl)
    }

    async fn lock(&self, key: &str, holder: &str, ttl: Duration) -> Result<bool, CacheError> {
        Ok(self.locks.lock(key, holder, ttl))
    }

    async fn unlock(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        self.locks.unlock(key, holder);
        Ok(())
    }

    async fn ping(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

/// Expires each entry after its own lifetime, which restarts when the key is set again.
struct PerEntry;

impl moka::Expiry<String, MemoryEntry> for PerEntry {
    fn expire_after_create(&self, _: &String, entry: &MemoryEntry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &MemoryEntry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}
