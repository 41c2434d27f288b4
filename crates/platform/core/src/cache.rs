//! The cache port: bytes under a text key, with a time to live.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// The cache does not answer. Callers continue without it.
#[derive(Debug, thiserror::Error)]
#[error("cache is unavailable")]
pub struct CacheError(#[source] pub BoxError);

/// The right to fill a key that a lookup did not find. It ends when the key is removed, set or filled, and when it is
/// released.
///
/// A lease stops a slow load, in this process or in another, from overwriting a later invalidation. A cache inside one
/// process needs none, because its callers see every removal; it uses the default lease, which has no token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    token: Option<u128>,
    is_of_another_process: bool,
}

impl Lease {
    /// Creates a lease with the token that identifies it in the cache.
    pub const fn new(token: u128) -> Self {
        Self { token: Some(token), is_of_another_process: false }
    }

    /// Creates a lease that a lookup of another process has created.
    pub const fn of_another_process(token: u128) -> Self {
        Self { token: Some(token), is_of_another_process: true }
    }

    /// Returns the token; `None` for the default lease.
    pub const fn token(&self) -> Option<u128> {
        self.token
    }

    /// Returns whether another process missed the key first. It loads the value now, unless it ended in between. A caller
    /// may wait for the value, or load it and fill the key first.
    pub const fn is_of_another_process(&self) -> bool {
        self.is_of_another_process
    }
}

/// A slot for what was decoded from a value, which lives as long as the value in the memory of this process: of many
/// lookups of one value only the first has to decode it. A value from outside the process has no slot.
#[derive(Clone, Default)]
pub struct Memo(Option<Arc<OnceLock<Arc<dyn Any + Send + Sync>>>>);

impl Memo {
    /// Creates an empty slot. The default has none.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns what was decoded; `None` if it was not yet, or as another type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.as_ref()?.get()?).downcast().ok()
    }

    /// Fills the slot, if there is one and it is empty.
    pub fn set<T: Send + Sync + 'static>(&self, decoded: Arc<T>) {
        if let Some(slot) = &self.0 {
            slot.set(decoded).ok();
        }
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// Equal values decode to the same.
impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memo {}

/// Result of [`Cache::lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The key has a value.
    Hit {
        /// The value.
        value: Bytes,
        /// Number of tiers, nearest first, that did not have the value.
        depth: usize,
        /// What was decoded from the value.
        memo: Memo,
    },
    /// The key has no value; the lease is the right to fill it.
    Miss(Lease),
}

/// Stores bytes for a limited time. Typed values, negative entries and single-flight loading are built on top of it.
///
/// A cache may evict any entry at any time, counters last. Keys are compared byte for byte and can be at least 1 KiB long; values can
/// be at least 1 MiB long. An empty value is a value.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Returns the value that was last set under `key`; `None` if there is none, or it expired, was removed or evicted.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;

    /// Stores `value` for at most `ttl`, and replaces an older value together with its time to live.
    ///
    /// A `ttl` of zero stores nothing and removes the older value. Any other `ttl` is accepted; very long ones are
    /// capped. Of concurrent calls for one key, one value is stored completely.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError>;

    /// Removes `key`; succeeds when it is not there. Ends the lease on it, in every process that shares the cache.
    ///
    /// After an error the old value may still be returned until its time to live ends.
    async fn remove(&self, key: &str) -> Result<(), CacheError>;

    /// Like [`Cache::get`], for callers that load a missing value and then call [`Cache::fill`].
    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        let found = self.get(key).await?;
        Ok(found.map_or_else(
            || Lookup::Miss(Lease::default()),
            |value| Lookup::Hit { value, depth: 0, memo: Memo::default() },
        ))
    }

    /// Stores a value that was loaded after the lookup that returned `lease`.
    ///
    /// Returns false and stores nothing when `key` was removed or set since that lookup, or when the lease expired.
    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        let _one_process = lease;
        self.set(key, value, ttl).await.map(|()| true)
    }

    /// Ends `lease`, because the load for which it was taken has failed: the next lookup, in any process, takes a new one.
    /// Does nothing when it has ended.
    async fn release(&self, key: &str, lease: &Lease) -> Result<(), CacheError> {
        let _one_process = (key, lease);
        Ok(())
    }

    /// Adds `by` to the counter `key` and returns its new value. A counter that does not exist starts at zero, and expires
    /// `ttl` after that, no matter how often it is changed. The shortest `ttl` is a millisecond.
    ///
    /// Concurrent calls are exact: each sees the ones before it, over all processes that share the cache. A cache inside one
    /// process counts for this process only, and so does the absence of a cache. Counters have keys of their own: they are
    /// no values, and [`remove`](Self::remove) does not reset them.
    ///
    /// After an error the counter may have been changed or not. An error is not a count: whether to continue without it is
    /// for the caller to decide. A value beyond the range of `i64` is an error.
    async fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError>;

    /// Acquires the lock `key` for `holder`, or renews it, for `ttl` from now. Returns whether `holder` has it: nobody else
    /// has acquired it and not let it expire. Of concurrent calls, also of several processes, one returns true.
    ///
    /// The clock of the cache decides when a lock expires. A cache may lose its locks, as when it restarts: so a lock avoids
    /// work that is done twice, and does not prevent it. A cache inside one process locks for this process only. Locks have
    /// keys of their own: they are no values.
    async fn lock(&self, key: &str, holder: &str, ttl: Duration) -> Result<bool, CacheError>;

    /// Ends the lock `key` of `holder`, so that another one gets it before it expires. Does nothing if `holder` does not
    /// have it.
    async fn unlock(&self, key: &str, holder: &str) -> Result<(), CacheError>;

    /// Succeeds when the cache answers; for health checks.
    async fn ping(&self) -> Result<(), CacheError>;
}
