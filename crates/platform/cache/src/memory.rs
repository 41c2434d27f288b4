//! The cache inside the process, bounded by bytes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::CacheError;

/// What an entry costs beside its key and value: the map's own bookkeeping, roughly.
const OVERHEAD_BYTES: usize = 128;
/// Longer lives are cut to this one, so that no arithmetic on times can overflow.
const LONGEST_TTL: Duration = Duration::from_hours(365 * 24);

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

/// Keeps entries until their time is up or others need the room. Cheap to clone; clones share the entries.
#[derive(Clone)]
pub struct MemoryCache {
    entries: moka::sync::Cache<String, Entry>,
}

impl MemoryCache {
    /// A cache that holds about `capacity_bytes` bytes of keys, values and bookkeeping.
    pub fn new(capacity_bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|key: &String, entry: &Entry| weight(key, entry))
            .expire_after(PerEntry)
            .build();
        Self { entries }
    }

    pub(crate) fn find(&self, key: &str) -> Option<Bytes> {
        self.entries.get(key).map(|entry| entry.value)
    }

    pub(crate) fn keep(&self, key: &str, value: Bytes, ttl: Duration) {
        if ttl.is_zero() {
            self.forget(key);
        } else {
            let ttl = ttl.min(LONGEST_TTL);
            self.entries.insert(key.to_owned(), Entry { value, ttl });
        }
    }

    pub(crate) fn forget(&self, key: &str) {
        self.entries.invalidate(key);
    }

    #[cfg(feature = "redis")]
    pub(crate) fn forget_all(&self) {
        self.entries.invalidate_all();
    }

    /// What the entries weigh, in bytes, once what is due for removal is gone.
    pub fn weighed_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

fn weight(key: &str, entry: &Entry) -> u32 {
    let bytes = key.len().saturating_add(entry.value.len()).saturating_add(OVERHEAD_BYTES);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.find(key))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.keep(key, value, ttl);
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.forget(key);
        Ok(())
    }

    async fn ping(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

/// Gives each entry the life it was set with; setting it again starts a new one.
struct PerEntry;

impl moka::Expiry<String, Entry> for PerEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &String, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}
