//! Selects the cache that the configuration names, among those compiled in.

use std::sync::Arc;

use kennel_config::ConfigErrors;
use kennel_core::{BackendError, BackendKind as _, BoxError, Cache};

use crate::config::{Backend, CacheConfig};
use crate::memory::MemoryCache;
use crate::none::NoCache;

/// Why the cache cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build does not contain the backend.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// Settings are missing or invalid.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
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
        Self { cache: Arc::new(NoCache::default()), tier: Tier::None }
    }

    /// Creates an in-memory cache of up to `bytes` bytes.
    pub fn memory(bytes: u64) -> Self {
        Self { cache: Arc::new(MemoryCache::new(bytes)), tier: Tier::Memory }
    }
}

/// Opens the cache that the configuration names. The keys in a server start with the name of the service, so that
/// services can share it. The only code that knows every adapter.
#[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "memory is not shared"))]
pub async fn connect(config: &CacheConfig, service: &str) -> Result<Connected, ConnectError> {
    match config.cache {
        Backend::None => Ok(Connected::none()),
        Backend::Memory => Ok(Connected::memory(config.cache_size.bytes())),
        #[cfg(feature = "redis")]
        Backend::Redis => redis(config, service).await,
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => Err(absent.absent().into()),
    }
}

#[cfg(feature = "redis")]
async fn redis(config: &CacheConfig, service: &str) -> Result<Connected, ConnectError> {
    use kennel_config::Section as _;

    config.validate()?;
    match crate::tiered::TieredCache::connect(config, service).await {
        Ok(cache) => Ok(Connected { cache: Arc::new(cache), tier: Tier::Redis }),
        Err(error) => Err(ConnectError::Refused { backend: config.cache, source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn compiled_backends_open_and_others_explain_what_to_do() {
        for (cache, name, built) in Backend::ALL.iter().copied() {
            let config = CacheConfig { cache, ..CacheConfig::default() };
            match connect(&config, "test").await {
                Ok(connected) => {
                    assert!(built, "{name}");
                    connected.cache.ping().await.unwrap();
                }
                Err(ConnectError::Absent(absent)) => {
                    assert!(!built, "{name}");
                    assert_eq!(absent, cache.absent());
                }
                Err(error) => {
                    assert_eq!(cache, Backend::Redis, "which has no default address");
                    assert!(error.to_string().starts_with("REDIS_ADDR (not set): "), "{error}");
                }
            }
        }
    }
}
