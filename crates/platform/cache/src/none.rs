//! No cache: stores nothing and never fails. Counters and locks are those of this process: a quota must not be exceeded for want of a
//! cache.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::CacheError;

use crate::counters::MemoryCounters;
use crate::locks::MemoryLocks;

/// The cache of services without one.
#[derive(Debug, Clone, Default)]
pub struct NoCache {
    counters: MemoryCounters,
    locks: MemoryLocks,
}

#[async_trait]
impl Cache for NoCache {
    async fn get(&self, _: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(None)
    }

    async fn set(&self, _: &str, _: Bytes, _: Duration) -> Result<(), CacheError> {
        Ok(())
    }

    async fn remove(&self, _: &str) -> Result<(), CacheError> {
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
