//! Settings of the cache.

use kennel_cache::{CacheConfig, Policy, RedisConfig};
use kennel_config::{ByteSize, HumanDuration, Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is remembered of dogs that were read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheSettings {
    /// Which cache: `none`, `memory`, inside the process, or another that is compiled in, as `redis`, which has memory in front.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub cache: kennel_cache::Backend,
    /// How many bytes the cache inside the process may hold.
    pub cache_size: ByteSize,
    /// The longest that a dog is remembered, and so the longest that a lost event can leave an old answer.
    pub cache_ttl: HumanDuration,
    /// Host and port of Redis, as `cache:6379`.
    pub redis_addr: Option<String>,
    /// The password of Redis, when it asks for one.
    pub redis_password: Option<Secret>,
    /// The number of the database in Redis.
    pub redis_db: u32,
    /// How long a request may wait for Redis; while Redis is away, none waits.
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
    /// What to open.
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

    /// How dogs are kept in it.
    pub fn dogs(&self) -> Policy {
        Policy::new("dogs.by_id", self.cache_ttl.get())
    }
}
