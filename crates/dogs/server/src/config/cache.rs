//! Settings of the cache.

use kennel_cache::{CacheConfig, Policy, RedisConfig};
use kennel_config::{ByteSize, HumanDuration, Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cache of dogs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheSettings {
    /// Which cache: `none`, `memory`, which is in-process, or another one that is compiled in, such as `redis`, which has an
    /// in-process cache in front.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub cache: kennel_cache::Backend,
    /// The maximum size of the in-process cache.
    pub cache_size: ByteSize,
    /// The time to live of a cached dog, which limits how long a lost event can leave a stale one.
    pub cache_ttl: HumanDuration,
    /// Host and port of Redis, such as `cache:6379`.
    pub redis_addr: Option<String>,
    /// The password of Redis, if it requires one.
    pub redis_password: Option<Secret>,
    /// The number of the Redis database.
    pub redis_db: u32,
    /// How long a request may wait for Redis; while Redis is unreachable, requests do not wait.
    pub redis_timeout: HumanDuration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let cache = CacheConfig::default();
        Self {
            cache: cache.backend,
            cache_size: ByteSize(cache.memory_bytes),
            cache_ttl: HumanDuration::from_secs(30),
            redis_addr: None,
            redis_password: None,
            redis_db: cache.redis.db,
            redis_timeout: HumanDuration(cache.redis.timeout),
        }
    }
}

impl Section for CacheSettings {
    const TITLE: &'static str = "Cache";

    fn check(&self, problems: &mut Problems) {
        let mut found = Vec::new();
        self.cache().check("", &mut found);
        for line in found {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key =
                if path == ".backend" { "cache".to_owned() } else { path.trim_start_matches('.').replace('.', "_") };
            problems.add(&key, reason);
        }
    }
}

impl CacheSettings {
    /// The configuration of the cache to open.
    pub fn cache(&self) -> CacheConfig {
        let redis = RedisConfig {
            addr: self.redis_addr.clone(),
            password: self.redis_password.clone().map(Into::into),
            db: self.redis_db,
            prefix: "dogs".to_owned(),
            timeout: self.redis_timeout.get(),
            ..RedisConfig::default()
        };
        CacheConfig { backend: self.cache, memory_bytes: self.cache_size.0, redis }
    }

    /// The cache policy of dogs.
    pub fn dogs(&self) -> Policy {
        Policy::new("dogs.by_id", self.cache_ttl.get())
    }
}
