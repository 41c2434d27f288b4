//! Locks of a service, and locks in the memory of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kennel_core::Cache;
use kennel_core::cache::CacheError;

use crate::Connected;

/// Longer lifetimes are capped to this, so that no arithmetic on times can overflow.
const MAX_TTL: Duration = Duration::from_hours(365 * 24);

/// Locks of one purpose and one holder. Clones share them.
#[derive(Clone)]
pub struct Locks {
    cache: Arc<dyn Cache>,
    name: &'static str,
    holder: Arc<str>,
}

impl Locks {
    /// Locks in `cache`, whose keys start with `name`. `holder` is unique to who acquires them.
    pub fn new(cache: &Connected, name: &'static str, holder: &str) -> Self {
        Self { cache: Arc::clone(&cache.cache), name, holder: holder.into() }
    }

    /// Acquires or renews a lock; see [`Cache::lock`].
    pub async fn acquire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        self.cache.lock(&format!("{}:{key}", self.name), &self.holder, ttl).await
    }

    /// Ends a lock; see [`Cache::unlock`].
    pub async fn release(&self, key: &str) -> Result<(), CacheError> {
        self.cache.unlock(&format!("{}:{key}", self.name), &self.holder).await
    }
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").field("name", &self.name).field("holder", &self.holder).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Held {
    holder: String,
    until: Instant,
}

/// Locks of one process. Clones share them. Only those that have not expired are in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryLocks(Arc<Mutex<HashMap<String, Held>>>);

impl MemoryLocks {
    /// See [`kennel_core::Cache::lock`].
    pub(crate) fn lock(&self, key: &str, holder: &str, ttl: Duration) -> bool {
        let (mut locks, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        locks.retain(|_, held| held.until > now);
        if locks.get(key).is_some_and(|held| held.holder != holder) {
            return false;
        }
        locks.insert(key.to_owned(), Held { holder: holder.to_owned(), until: now + ttl.min(MAX_TTL) });
        true
    }

    /// See [`kennel_core::Cache::unlock`].
    pub(crate) fn unlock(&self, key: &str, holder: &str) {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.get(key).is_some_and(|held| held.holder == holder) {
            locks.remove(key);
        }
    }
}
