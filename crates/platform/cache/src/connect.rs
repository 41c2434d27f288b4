//! Picks the cache that the configuration names, among those compiled in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kennel_core::{BoxError, Cache};
use serde::{Deserialize, Serialize};

use crate::memory::MemoryCache;
use crate::none::NoCache;
use crate::redis_config::RedisConfig;

/// A cache by its name, as the variable `CACHE` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// No cache.
    None,
    /// Inside the process.
    #[default]
    Memory,
    /// Redis, with memory in front.
    Redis,
}

impl Backend {
    /// Every cache there is, compiled in or not.
    pub const ALL: &'static [Self] = &[Self::None, Self::Memory, Self::Redis];
    /// The caches that this build has.
    pub const COMPILED_IN: &'static [Self] = &[
        Self::None,
        Self::Memory,
        #[cfg(feature = "redis")]
        Self::Redis,
    ];

    /// Its name, which is also that of the Cargo feature that compiles it in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no cache's.
#[derive(Debug, thiserror::Error)]
#[error("no cache is called that; there are {}", names(Backend::ALL))]
pub struct UnknownBackend;

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|backend| backend.name() == text);
        named.copied().ok_or(UnknownBackend)
    }
}

/// Why there is no cache to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build lacks it.
    #[error("the cache `{0}` is not compiled in: this build has {built}; build with the feature `{0}`", built = names(Backend::COMPILED_IN))]
    NotCompiledIn(Backend),
    /// A setting is missing or cannot work.
    #[error("the cache `{backend}` cannot be used: {}", problems.join("; "))]
    Settings {
        /// The cache.
        backend: Backend,
        /// One line for each such setting.
        problems: Vec<String>,
    },
    /// It is there and refuses.
    #[error("the cache `{backend}` refuses")]
    Refused {
        /// The cache.
        backend: Backend,
        /// Why.
        #[source]
        source: BoxError,
    },
}

fn names(backends: &[Backend]) -> String {
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    names.join(", ")
}

/// Which cache, and how large.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Which cache.
    pub backend: Backend,
    /// How many bytes the cache inside the process may hold.
    pub memory_bytes: u64,
    /// Settings of `redis`.
    pub redis: RedisConfig,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { backend: Backend::default(), memory_bytes: 16 * 1024 * 1024, redis: RedisConfig::default() }
    }
}

impl CacheConfig {
    /// Adds one line for each setting that cannot work, led by the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if !Backend::COMPILED_IN.contains(&self.backend) {
            problems.push(format!("{path}.backend: {}", ConnectError::NotCompiledIn(self.backend)));
        } else if self.backend == Backend::Redis {
            self.redis.check(&format!("{path}.redis"), problems);
        }
    }
}

/// What a cache is made of; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Nothing.
    None,
    /// Memory of this process.
    Memory,
    /// Redis, with memory in front.
    Redis,
}

impl Tier {
    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }

    /// What a request passes until something is found, nearest first.
    pub(crate) const fn layers(self) -> &'static [Self] {
        match self {
            Self::None => &[Self::None],
            Self::Memory => &[Self::Memory],
            Self::Redis => &[Self::Memory, Self::Redis],
        }
    }
}

/// A cache ready for use.
#[derive(Clone)]
pub struct Connected {
    /// The cache.
    pub cache: Arc<dyn Cache>,
    /// What it is made of.
    pub tier: Tier,
}

impl Connected {
    /// A cache that keeps nothing, whose requests are counted as bypassing it.
    pub fn none() -> Self {
        Self { cache: Arc::new(NoCache), tier: Tier::None }
    }

    /// A cache of up to `bytes` bytes inside the process.
    pub fn memory(bytes: u64) -> Self {
        Self { cache: Arc::new(MemoryCache::new(bytes)), tier: Tier::Memory }
    }
}

/// Opens the cache that the configuration names. The only code that knows every adapter.
pub async fn connect(config: &CacheConfig) -> Result<Connected, ConnectError> {
    match config.backend {
        Backend::None => Ok(Connected::none()),
        Backend::Memory => Ok(Connected::memory(config.memory_bytes)),
        #[cfg(feature = "redis")]
        Backend::Redis => redis(config).await,
        #[cfg(not(feature = "redis"))]
        Backend::Redis => Err(ConnectError::NotCompiledIn(config.backend)),
    }
}

#[cfg(feature = "redis")]
async fn redis(config: &CacheConfig) -> Result<Connected, ConnectError> {
    let (backend, mut problems) = (config.backend, Vec::new());
    config.redis.check("redis", &mut problems);
    if !problems.is_empty() {
        return Err(ConnectError::Settings { backend, problems });
    }
    match crate::tiered::TieredCache::connect(config.redis.clone(), config.memory_bytes).await {
        Ok(cache) => Ok(Connected { cache: Arc::new(cache), tier: Tier::Redis }),
        Err(error) => Err(ConnectError::Refused { backend, source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_known_by_its_name() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse::<Backend>().unwrap(), *backend);
            assert_eq!(serde_json::to_string(backend).unwrap(), format!("\"{backend}\""));
        }
        let unknown = "memcached".parse::<Backend>().unwrap_err();
        assert_eq!(unknown.to_string(), "no cache is called that; there are none, memory, redis");
    }

    #[tokio::test]
    async fn what_is_compiled_in_opens_and_the_rest_says_what_to_do() {
        for backend in Backend::ALL.iter().copied() {
            let config = CacheConfig { backend, ..CacheConfig::default() };
            let opened = connect(&config).await;
            let mut problems = Vec::new();
            config.check("cache", &mut problems);
            match opened {
                Ok(connected) => {
                    assert!(Backend::COMPILED_IN.contains(&backend) && problems.is_empty(), "{backend}");
                    connected.cache.ping().await.unwrap();
                }
                Err(ConnectError::NotCompiledIn(absent)) => {
                    assert!(!Backend::COMPILED_IN.contains(&backend), "{backend}");
                    let text = ConnectError::NotCompiledIn(absent).to_string();
                    assert!(text.contains("none, memory") && text.contains("feature `redis`"), "{text}");
                    assert_eq!(problems, [format!("cache.backend: {text}")]);
                }
                Err(error) => {
                    assert_eq!(backend, Backend::Redis, "which has no default address");
                    assert!(error.to_string().contains("redis.addr"), "{error}");
                    assert_eq!(problems.len(), 1);
                }
            }
        }
    }

    #[test]
    fn misspelled_settings_are_refused() {
        assert!(serde_json::from_str::<CacheConfig>(r#"{"memroy_bytes": 1}"#).is_err());
        assert!(serde_json::from_str::<CacheConfig>(r#"{"backend": "disk"}"#).is_err());
    }
}
