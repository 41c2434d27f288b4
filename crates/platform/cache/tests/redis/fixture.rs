//! Connections, processes and short forms of the calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kennel_cache::tiered::TieredCache;
use kennel_cache::{CacheConfig, CacheMetrics, Connected, Policy, RedisTuning, Tier, TypedCache};
use kennel_config::HumanDuration;
use kennel_core::Cache;
use kennel_core::cache::{Lease, Lookup};
use kennel_testkit::FaultProxy;
use prometheus::{Registry, TextEncoder};
use tokio::time::{sleep, timeout};

use crate::support::Space;

pub(crate) const LONG: Duration = Duration::from_mins(10);

/// Settings with a memory lifetime so long that only change messages remove entries.
pub(crate) fn lasting(config: CacheConfig) -> CacheConfig {
    CacheConfig { redis: RedisTuning { memory_ttl: LONG, ..config.redis }, ..config }
}

pub(crate) async fn tiered(space: &Space, config: CacheConfig) -> TieredCache {
    TieredCache::connect(&lasting(config), space.prefix()).await.unwrap()
}

pub(crate) async fn proxy(space: &Space) -> FaultProxy {
    let address: SocketAddr = tokio::net::lookup_host(space.addr()).await.unwrap().next().unwrap();
    FaultProxy::new(address).await
}

/// Settings that connect through the proxy.
pub(crate) fn through(space: &Space, proxy: &FaultProxy) -> CacheConfig {
    CacheConfig { redis_addr: Some(proxy.address().to_string()), ..space.config() }
}

/// Settings that connect through the proxy, with a heartbeat so long that a command detects the lost connection first.
pub(crate) fn hasty(space: &Space, proxy: &FaultProxy) -> CacheConfig {
    let (brief, config) = (Duration::from_millis(300), through(space, proxy));
    let redis = RedisTuning { connect_timeout: brief, heartbeat: LONG, ..config.redis };
    CacheConfig { redis_timeout: HumanDuration(brief), redis, ..config }
}

pub(crate) async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let found = timeout(Duration::from_secs(20), async {
        while !look().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

pub(crate) async fn set(cache: &dyn Cache, key: &str, value: &'static str) {
    cache.set(key, Bytes::from_static(value.as_bytes()), LONG).await.unwrap();
}

pub(crate) async fn get(cache: &dyn Cache, key: &str) -> Option<String> {
    cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Returns the lease of a lookup, which must be a miss.
pub(crate) async fn lease(cache: &dyn Cache, key: &str) -> Lease {
    match cache.lookup(key).await.unwrap() {
        Lookup::Miss(lease) => lease,
        hit @ Lookup::Hit { .. } => panic!("{hit:?}"),
    }
}

/// Returns the number of tiers that did not have the key.
pub(crate) async fn depth(cache: &dyn Cache, key: &str) -> Option<usize> {
    match cache.lookup(key).await.unwrap() {
        Lookup::Miss(_) => None,
        Lookup::Hit { depth, .. } => Some(depth),
    }
}

pub(crate) async fn fill(cache: &dyn Cache, key: &str, value: &'static str, lease: &Lease) -> bool {
    cache.fill(key, Bytes::from_static(value.as_bytes()), LONG, lease).await.unwrap()
}

pub(crate) struct Replica {
    pub(crate) typed: TypedCache<String>,
    pub(crate) registry: Registry,
}

impl Replica {
    pub(crate) async fn new(space: &Space, config: CacheConfig) -> Self {
        Self::with(space, config, Policy::new("dogs", LONG)).await
    }

    /// A replica that waits for the loads of others.
    pub(crate) async fn waiting(space: &Space, config: CacheConfig, max_wait: Duration) -> Self {
        Self::with(space, config, Policy { max_wait, ..Policy::new("dogs", LONG) }).await
    }

    pub(crate) async fn with(space: &Space, config: CacheConfig, policy: Policy) -> Self {
        let connected = Connected { cache: Arc::new(tiered(space, config).await), tier: Tier::Redis };
        let registry = Registry::new();
        let metrics = CacheMetrics::register(&registry).unwrap();
        Self { typed: TypedCache::new(&connected, policy, &metrics), registry }
    }

    pub(crate) async fn load(&self, key: &str, value: &str) -> String {
        self.typed.get_or_load(key, async || Ok::<_, ()>(Some(value.to_owned()))).await.unwrap().unwrap()
    }

    pub(crate) fn requests(&self, tier: &str, outcome: &str) -> u64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let start = format!(r#"cache_requests_total{{cache="dogs",outcome="{outcome}",tier="{tier}"}} "#);
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    }
}
