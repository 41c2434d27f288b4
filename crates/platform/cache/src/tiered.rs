//! Memory in front of Redis.
//!
//! A lookup goes to memory, then to Redis; what it finds there, memory keeps for a short while. Of those who look for
//! one key at a time, one asks Redis. Changes go to Redis, which announces them to the memory of every process. While
//! the announcements do not come, memory is empty and keeps nothing.
//!
//! An answer that was on its way while its key changed is not kept: whoever asks takes the key's epoch before, and
//! every announcement begins a new one. So memory is out of date at most for the way of an announcement; when a
//! connection dies unnoticed, until the next heartbeat fails; and in no case longer than its own short time.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup};
use redis::RedisError;

use crate::flight::{Flights, Landing, Role};
use crate::memory::MemoryCache;
use crate::redis::link::Listener;
use crate::redis::{Found, RedisCache};
use crate::redis_config::RedisConfig;

/// Keys share epochs; one that shares with a changed key is at worst not kept once.
const EPOCHS: usize = 256;

/// See the [module](self).
pub struct TieredCache {
    near: Arc<Near>,
    far: RedisCache,
}

impl TieredCache {
    /// Connects, with up to `memory_bytes` bytes in memory. Goes on without Redis, and looks for it, when it is away;
    /// fails when it is there and refuses.
    pub async fn connect(config: RedisConfig, memory_bytes: u64) -> Result<Self, RedisError> {
        let near = Arc::new(Near::new(memory_bytes, config.memory_ttl));
        let far = RedisCache::heard_by(config, Arc::<Near>::clone(&near)).await?;
        Ok(Self { near, far })
    }

    async fn find(&self, key: &str) -> Result<Found, CacheError> {
        loop {
            let follow = match self.near.looks.join(key) {
                Role::Follow(follow) => follow,
                Role::Lead(duty) => {
                    let epoch = self.near.epoch(key);
                    let found = self.far.look(key).await;
                    match &found {
                        Ok(found) => {
                            if let Found::Value(value, remaining) = found {
                                self.near.keep(key, value.clone(), *remaining, epoch);
                            }
                            duty.land(Landing::Loaded(Some(found.clone())));
                        }
                        Err(_) => duty.land(Landing::Failed),
                    }
                    return found;
                }
            };
            match follow.landing().await {
                Landing::Loaded(Some(found)) => return Ok(found),
                Landing::Loaded(None) | Landing::Failed => return self.far.look(key).await,
                Landing::Abandoned => {}
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
        let set = self.far.set(key, value, ttl).await;
        self.near.changed(key);
        set
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        let removed = self.far.remove(key).await;
        self.near.changed(key);
        removed
    }

    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        if let Some(value) = self.near.find(key) {
            return Ok(Lookup::Hit { value, depth: 0 });
        }
        Ok(match self.find(key).await? {
            Found::Value(value, _) => Lookup::Hit { value, depth: 1 },
            Found::Nothing(lease) => Lookup::Miss(lease),
        })
    }

    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        let epoch = self.near.epoch(key);
        let filled = self.far.fill(key, value.clone(), ttl, lease).await?;
        if filled {
            self.near.keep(key, value, ttl, epoch);
        }
        Ok(filled)
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.far.ping().await
    }
}

/// The tier in memory.
struct Near {
    memory: MemoryCache,
    longest: Duration,
    looks: Flights<Found>,
    /// Whether changes are announced.
    in_touch: RwLock<bool>,
    epochs: [Mutex<Epoch>; EPOCHS],
    hasher: RandomState,
}

/// Counts the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Epoch(u64);

impl Near {
    fn new(memory_bytes: u64, longest: Duration) -> Self {
        Self {
            memory: MemoryCache::new(memory_bytes),
            longest,
            looks: Flights::new(),
            in_touch: RwLock::new(false),
            epochs: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    fn in_touch(&self) -> std::sync::RwLockReadGuard<'_, bool> {
        self.in_touch.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_epoch(&self, key: &str) -> MutexGuard<'_, Epoch> {
        let index = usize::try_from(self.hasher.hash_one(key) % EPOCHS as u64).unwrap_or(0);
        self.epochs[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self, key: &str) -> Epoch {
        *self.lock_epoch(key)
    }

    fn find(&self, key: &str) -> Option<Bytes> {
        let in_touch = self.in_touch();
        if *in_touch { self.memory.find(key) } else { None }
    }

    /// Keeps what was on its way since `epoch`, unless the key changed.
    fn keep(&self, key: &str, value: Bytes, ttl: Duration, epoch: Epoch) {
        let in_touch = self.in_touch();
        let now = self.lock_epoch(key);
        if *in_touch && *now == epoch {
            self.memory.keep(key, value, ttl.min(self.longest));
        }
    }

    fn empty(&self, in_touch: Option<bool>) {
        let mut now = self.in_touch.write().unwrap_or_else(PoisonError::into_inner);
        *now = in_touch.unwrap_or(*now);
        for epoch in &self.epochs {
            epoch.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        }
        self.looks.call_off_all();
        self.memory.forget_all();
    }
}

impl Listener for Near {
    fn changed(&self, key: &str) {
        let mut epoch = self.lock_epoch(key);
        epoch.0 += 1;
        self.looks.call_off(key);
        self.memory.forget(key);
    }

    fn all_changed(&self) {
        self.empty(None);
    }

    fn found(&self) {
        self.empty(Some(true));
    }

    fn lost(&self) {
        self.empty(Some(false));
    }
}
