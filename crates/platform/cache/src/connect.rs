//! Selects the cache that the configuration names, among those compiled in.

use std::sync::Arc;

use kennel_core::{BackendError, BackendKind, BoxError, Cache};
use serde::{Deserialize, Serialize};

use crate::memory::MemoryCache;
use crate::none::NoCache;
use crate::redis_config::RedisConfig;

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

/// Why the cache cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build does not contain the backend.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// A setting is missing or invalid.
    #[error("the cache `{}` cannot be used: {}", backend.name(), problems.join("; "))]
    Settings {
        /// The cache.
        backend: Backend,
        /// One line per setting.
        problems: Vec<String>,
    },
    /// The server is reachable but refuses the connection.
    #[error("the cache `{}` refuses the connection", backend.name())]
    Refused {
        /// The cache.
        backend: Backend,
        /// The server's error.
        #[source]
        source: BoxError,
    },
}

/// Settings of the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The backend.
    #[serde(with = "kennel_core::backend")]
    pub backend: Backend,
    /// Maximum size of the in-memory cache, in bytes.
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
    /// Adds one line for each invalid setting, starting with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if let Err(absent) = self.backend.require() {
            problems.push(format!("{path}.backend: {absent}"));
        } else if self.backend == Backend::Redis {
            self.redis.check(&format!("{path}.redis"), problems);
        }
    }
}

/// Tiers of a cache; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// No tier.
    None,
    /// Memory of this process.
    Memory,
    /// Redis, with a memory tier in front.
    Redis,
}

impl Tier {
    /// Returns the value of the metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }

    /// Returns the layers that a lookup queries, nearest first.
    pub(crate) const fn layers(self) -> &'static [Self] {
        match self {
            Self::None => &[Self::None],
            Self::Memory => &[Self::Memory],
            Self::Redis => &[Self::Memory, Self::Redis],
        }
    }
}

/// An open cache.
#[derive(Clone)]
pub struct Connected {
    /// The cache.
    pub cache: Arc<dyn Cache>,
    /// Its tiers.
    pub tier: Tier,
}

impl Connected {
    /// Creates a cache that stores nothing; its requests are counted with the outcome `bypass`.
    pub fn none() -> Self {
        Self { cache: Arc::new(NoCache), tier: Tier::None }
    }

    /// Creates an in-memory cache of up to `bytes` bytes.
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
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => Err(absent.absent().into()),
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

    #[tokio::test]
    async fn compiled_backends_open_and_others_explain_what_to_do() {
        for (backend, name, built) in Backend::ALL.iter().copied() {
            let config = CacheConfig { backend, ..CacheConfig::default() };
            let opened = connect(&config).await;
            let mut problems = Vec::new();
            config.check("cache", &mut problems);
            match opened {
                Ok(connected) => {
                    assert!(built && problems.is_empty(), "{name}");
                    connected.cache.ping().await.unwrap();
                }
                Err(ConnectError::Absent(absent)) => {
                    assert!(!built, "{name}");
                    assert_eq!(problems, [format!("cache.backend: {absent}")]);
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
    fn misspelled_settings_are_rejected() {
        assert!(serde_json::from_str::<CacheConfig>(r#"{"memroy_bytes": 1}"#).is_err());
        assert!(serde_json::from_str::<CacheConfig>(r#"{"backend": "disk"}"#).is_err());
    }
}
