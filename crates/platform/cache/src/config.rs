//! Settings of the cache.

use std::time::Duration;

use kennel_config::{ByteSize, HumanDuration, Problems, Secret, Section};
use kennel_core::BackendKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Policy;

/// A cache backend; its name is a value of the variable `CACHE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// No cache.
    None,
    /// In-memory, inside the process.
    #[default]
    Memory,
    /// Redis, with a memory tier in front.
    Redis,
}

impl BackendKind for Backend {
    const KIND: &'static str = "cache";
    const ALL: &'static [(Self, &'static str, bool)] =
        &[(Self::None, "none", true), (Self::Memory, "memory", true), (Self::Redis, "redis", cfg!(feature = "redis"))];
}

/// The cache. There is no default address of Redis.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheConfig {
    /// Which cache: `none`, `memory`, which is in-process, or another one that is compiled in, such as `redis`, which has an
    /// in-process cache in front.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub cache: Backend,
    /// The maximum size of the in-process cache.
    pub cache_size: ByteSize,
    /// The time to live of a cached value, which limits how long a lost event can leave a stale one.
    pub cache_ttl: HumanDuration,
    /// Host and port of Redis, such as `cache:6379`.
    pub redis_addr: Option<String>,
    /// The password of Redis, if it requires one.
    pub redis_password: Option<Secret>,
    /// The number of the Redis database.
    pub redis_db: u32,
    /// How long a request may wait for Redis; while Redis is unreachable, requests do not wait.
    pub redis_timeout: HumanDuration,
    /// Intervals of Redis that are not settings.
    #[serde(skip)]
    pub redis: RedisTuning,
}

/// Intervals of the Redis connection and its memory tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisTuning {
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Interval between checks of an idle connection.
    pub heartbeat: Duration,
    /// Maximum lifetime in the memory tier: how stale a value can be at most when an invalidation is lost.
    pub memory_ttl: Duration,
}

impl Default for RedisTuning {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(1),
            memory_ttl: Duration::from_secs(5),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            cache: Backend::default(),
            cache_size: ByteSize::mib(16),
            cache_ttl: HumanDuration::from_secs(30),
            redis_addr: None,
            redis_password: None,
            redis_db: 0,
            redis_timeout: HumanDuration::from_millis(250),
            redis: RedisTuning::default(),
        }
    }
}

impl Section for CacheConfig {
    const TITLE: &'static str = "Cache";

    fn check(&self, problems: &mut Problems) {
        if let Err(absent) = self.cache.require() {
            problems.add("cache", absent.to_string());
        } else if self.cache == Backend::Redis {
            match self.redis_addr.as_deref() {
                None => problems.add("redis_addr", "must be set when the cache is redis, as host:port"),
                Some(addr) if host_and_port(addr).is_none() => {
                    problems.add("redis_addr", "must be host:port, as `cache:6379`");
                }
                Some(_) => {}
            }
            problems.check_not_zero("redis_timeout", self.redis_timeout);
        }
    }
}

impl CacheConfig {
    /// Returns the policy of the values with this name.
    pub fn policy(&self, name: &'static str) -> Policy {
        Policy::new(name, self.cache_ttl.get())
    }
}

/// Splits `host:port`; an IPv6 address is in brackets.
pub(crate) fn host_and_port(addr: &str) -> Option<(String, u16)> {
    let (host, port) = addr.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let good = !host.is_empty() && !host.contains(['/', '@', ' ']) && (bare.is_some() || !host.contains(':'));
    let port = port.parse().ok().filter(|port| *port != 0)?;
    good.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(addr: Option<&str>) -> CacheConfig {
        CacheConfig { cache: Backend::Redis, redis_addr: addr.map(str::to_owned), ..CacheConfig::default() }
    }

    fn problems(config: &CacheConfig) -> Vec<String> {
        let errors = config.validate().err().map(|errors| errors.0).unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_backend_has_to_be_in_the_build() {
        for (cache, _, built) in Backend::ALL.iter().copied() {
            let found = problems(&CacheConfig { cache, ..redis(Some("cache:6379")) });
            let expected = (!built).then(|| format!("CACHE (not set): {}", cache.absent()));
            assert_eq!(found, Vec::from_iter(expected));
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn an_address_is_needed_and_is_host_and_port() {
        let missing = "REDIS_ADDR (not set): must be set when the cache is redis, as host:port";
        assert_eq!(problems(&redis(None)), [missing]);
        for good in ["cache:6379", "127.0.0.1:1", "[::1]:6379"] {
            assert!(problems(&redis(Some(good))).is_empty(), "{good}");
        }
        for bad in
            ["cache", ":6379", "cache:", "cache:0", "cache:70000", "redis://cache:6379", "::1:6379", "u:p@cache:1"]
        {
            assert_eq!(problems(&redis(Some(bad))).len(), 1, "{bad}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn all_problems_are_reported_together_and_no_secret() {
        let config = CacheConfig {
            redis_password: Some("hunter2".into()),
            redis_timeout: HumanDuration::default(),
            ..redis(Some("x"))
        };
        assert_eq!(problems(&config).len(), 2);
        let shown = format!("{config:?} {} {:?}", serde_json::to_string(&config).unwrap(), problems(&config));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
