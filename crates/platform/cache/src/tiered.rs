//! Memory tier in front of Redis.
//!
//! A lookup reads memory, then Redis, and stores the value from Redis in memory for a short time. Of concurrent lookups
//! of one key, one queries Redis. Changes go to Redis, which publishes them to the memory of every process. While
//! change messages cannot be received, memory is empty and stores nothing.
//!
//! A response is not stored when its key changed while it was on the way: a lookup reads the key's epoch first, and
//! every change message increments it. So memory is stale at most for the delivery time of a change message; when a
//! connection fails silently, until the next heartbeat fails; and never longer than its own short lifetime.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup, Memo};
use redis::RedisError;

use crate::config::CacheConfig;
use crate::memory::MemoryCache;
use crate::redis::connection::ChangeListener;
use crate::redis::{RedisCache, RedisLookup};
use crate::single_flight::{LoadResult, Role, SingleFlight};

/// Number of epochs. Keys share an epoch by hash; a key that shares one with a changed key is at worst not stored once.
const EPOCH_STRIPES: usize = 256;

/// See the [module](self).
pub struct TieredCache {
    memory: Arc<MemoryTier>,
    redis: RedisCache,
}

impl TieredCache {
    /// Connects; keys in Redis start with `prefix`. When Redis is unreachable, it continues without it and reconnects in
    /// the background; fails when Redis refuses.
    pub async fn connect(config: &CacheConfig, prefix: &str) -> Result<Self, RedisError> {
        let memory = Arc::new(MemoryTier::new(config.cache_size.bytes(), config.redis.memory_ttl));
        let redis = RedisCache::connect_with_listener(config, prefix, Arc::<MemoryTier>::clone(&memory)).await?;
        Ok(Self { memory, redis })
    }

    async fn find(&self, key: &str) -> Result<RedisLookup, CacheError> {
        loop {
            let waiter = match self.memory.lookups.join(key) {
                Role::Waiter(waiter) => waiter,
                Role::Leader(leader) => {
                    let epoch = self.memory.epoch(key);
                    let found = self.redis.lookup_with_ttl(key).await;
                    match &found {
                        Ok(found) => {
                            if let RedisLookup::Value(value, remaining) = found {
                                self.memory.store(key, value.clone(), *remaining, epoch);
                            }
                            leader.complete(LoadResult::Loaded(Some(found.clone())));
                        }
                        Err(_) => leader.complete(LoadResult::Failed),
                    }
                    return found;
                }
            };
            match waiter.wait().await {
                LoadResult::Loaded(Some(found)) => return Ok(found),
                LoadResult::Loaded(None) | LoadResult::Failed => return self.redis.lookup_with_ttl(key).await,
                LoadResult::Abandoned => {}
            }
        }
    }
}

#[async_trait]
impl Cache for TieredCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(match self.lookup(key).await? {
            Lookup::Hit { value, .. } => Some(value),
            Lookup::Miss(_) => None,
        })
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let set = self.redis.set(key, value, ttl).await;
        self.memory.key_changed(key);
        set
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        let removed = self.redis.remove(key).await;
        self.memory.key_changed(key);
        removed
    }

    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        if let Some(hit) = self.memory.find(key) {
            return Ok(hit);
        }
        Ok(match self.find(key).await? {
            RedisLookup::Value(value, _) => Lookup::Hit { value, depth: 1, memo: Memo::default() },
            RedisLookup::Missing(lease) => Lookup::Miss(lease),
        })
    }

    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        let epoch = self.memory.epoch(key);
        let filled = self.redis.fill(key, value.clone(), ttl, lease).await?;
        if filled {
            self.memory.store(key, value, ttl, epoch);
        }
        Ok(filled)
    }

    async fn release(&self, key: &str, lease: &Lease) -> Result<(), CacheError> {
        self.redis.release(key, lease).await
    }

    /// Memory has no part in it: a counter is the same for all processes.
    async fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        self.redis.increment(key, by, ttl).await
    }

    async fn lock(&self, key: &str, holder: &str, ttl: Duration) -> Result<bool, CacheError> {
        self.redis.lock(key, holder, ttl).await
    }

    async fn unlock(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        self.redis.unlock(key, holder).await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.redis.ping().await
    }
}

/// The memory tier.
struct MemoryTier {
    memory: MemoryCache,
    max_ttl: Duration,
    lookups: SingleFlight<RedisLookup>,
    /// Whether change messages are received.
    is_connected: RwLock<bool>,
    epochs: [Mutex<Epoch>; EPOCH_STRIPES],
    hasher: RandomState,
}

/// Number of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Epoch(u64);

impl MemoryTier {
    fn new(memory_bytes: u64, max_ttl: Duration) -> Self {
        Self {
            memory: MemoryCache::new(memory_bytes),
            max_ttl,
            lookups: SingleFlight::new(),
            is_connected: RwLock::new(false),
            epochs: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    fn is_connected(&self) -> std::sync::RwLockReadGuard<'_, bool> {
        self.is_connected.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_epoch(&self, key: &str) -> MutexGuard<'_, Epoch> {
        let index = usize::try_from(self.hasher.hash_one(key) % EPOCH_STRIPES as u64).unwrap_or(0);
        self.epochs[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self, key: &str) -> Epoch {
        *self.lock_epoch(key)
    }

    fn find(&self, key: &str) -> Option<Lookup> {
        let is_connected = self.is_connected();
        if *is_connected { self.memory.find(key) } else { None }
    }

    /// Stores a response that was requested in `epoch`, unless the key has changed since.
    fn store(&self, key: &str, value: Bytes, ttl: Duration, epoch: Epoch) {
        let is_connected = self.is_connected();
        let now = self.lock_epoch(key);
        if *is_connected && *now == epoch {
            self.memory.insert(key, value, ttl.min(self.max_ttl));
        }
    }

    fn clear(&self, is_connected: Option<bool>) {
        let mut now = self.is_connected.write().unwrap_or_else(PoisonError::into_inner);
        *now = is_connected.unwrap_or(*now);
        for epoch in &self.epochs {
            epoch.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        }
        self.lookups.cancel_all();
        self.memory.invalidate_all();
    }
}

impl ChangeListener for MemoryTier {
    fn key_changed(&self, key: &str) {
        let mut epoch = self.lock_epoch(key);
        epoch.0 += 1;
        self.lookups.cancel(key);
        self.memory.invalidate(key);
    }

    fn all_keys_changed(&self) {
        self.clear(None);
    }

    fn connected(&self) {
        self.clear(Some(true));
    }

    fn disconnected(&self) {
        self.clear(Some(false));
    }
}
