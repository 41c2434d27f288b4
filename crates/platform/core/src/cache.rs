//! The cache port: bytes under a key, for a while.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// The cache does not answer. Callers go on without it.
#[derive(Debug, thiserror::Error)]
#[error("cache is unavailable")]
pub struct CacheError(#[source] pub BoxError);

/// The right to fill a key that a lookup did not find, lost when the key is removed or set meanwhile.
///
/// So what was loaded before a removal, here or in another process, does not outlive it. Caches of one process alone
/// need none, since their callers see the removals: the default lease is that of no one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease(Option<u128>);

impl Lease {
    /// A lease that the cache knows by `token`.
    pub const fn new(token: u128) -> Self {
        Self(Some(token))
    }

    /// What the cache knows it by; `None` for the lease of no one.
    pub const fn token(&self) -> Option<u128> {
        self.0
    }
}

/// What a lookup finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The bytes.
    Hit {
        /// The bytes.
        value: Bytes,
        /// How many tiers, nearest first, did not have them.
        depth: usize,
    },
    /// Nothing, and with it the right to fill the key.
    Miss(Lease),
}

/// Keeps bytes for a while. Typed access, negative entries and single-flight stand on top of it.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// What was last set under `key`, unless it ran out, was removed or was pushed out.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;

    /// Keeps `value` for at most `ttl`.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError>;

    /// Forgets `key`; fine when it is not there.
    async fn remove(&self, key: &str) -> Result<(), CacheError>;

    /// Like [`Cache::get`], for callers that go on to load what is missing and then call [`Cache::fill`].
    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        let found = self.get(key).await?;
        Ok(found.map_or_else(|| Lookup::Miss(Lease::default()), |value| Lookup::Hit { value, depth: 0 }))
    }

    /// Keeps what was loaded after a lookup that gave `lease`. False, and nothing kept, when `key` was removed or set
    /// since, or when too much time has passed to know.
    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        let _one_process = lease;
        self.set(key, value, ttl).await.map(|()| true)
    }

    /// Whether the cache answers, for health checks.
    async fn ping(&self) -> Result<(), CacheError>;
}
