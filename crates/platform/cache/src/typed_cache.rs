//! The cache that services use: values of one type, loaded on a miss.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup, Memo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use crate::metrics::{Outcome, Series};
use crate::single_flight::{Leader, LoadResult, Role, SingleFlight};
use crate::{CacheMetrics, Connected, Tier};

/// Maximum number of concurrent removals.
const MAX_CONCURRENT_REMOVALS: usize = 64;
/// Interval of lookups while another process loads a value.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Name and lifetimes of the entries of a cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Names the cache in keys and metrics, such as `dogs.by_id`; two caches over one backend need two names.
    pub name: &'static str,
    /// Version in the keys. Increase it when the schema of the values changes, so that old entries are not read.
    pub version: u32,
    /// Maximum lifetime of a value.
    pub ttl: Duration,
    /// Maximum lifetime of a negative entry; zero stores none.
    pub negative_ttl: Duration,
    /// Maximum fraction, 0.0 to 1.0, by which a lifetime is shortened at random, so that entries set together do not
    /// expire together.
    pub jitter: f64,
    /// How long to wait for a value that another process loads. Zero: each process loads what it misses.
    pub max_wait: Duration,
}

impl Policy {
    /// Creates a policy: values for `ttl`, negative entries for a tenth of it, a tenth of jitter, no waiting for other
    /// processes.
    pub fn new(name: &'static str, ttl: Duration) -> Self {
        Self { name, version: 1, ttl, negative_ttl: ttl / 10, jitter: 0.1, max_wait: Duration::ZERO }
    }

    fn lifetime(&self, present: bool) -> Duration {
        let longest = if present { self.ttl } else { self.negative_ttl };
        longest.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * rand::random::<f64>())
    }
}

/// What a load returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<V> {
    /// The value, or its absence.
    pub value: Option<V>,
    /// Its lifetime; `None` for that of the policy.
    pub ttl: Option<Duration>,
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        Self { value, ttl: None }
    }
}

/// Values of type `V` under text keys, loaded when the cache does not have them.
///
/// A failing cache or an unreadable entry does not fail a request: a metric counts it and the value is loaded. Share it
/// in an [`Arc`].
pub struct TypedCache<V> {
    cache: Arc<dyn Cache>,
    tier: Tier,
    policy: Policy,
    series: Series,
    single_flight: SingleFlight<V>,
}

impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> TypedCache<V> {
    /// Creates a cache of one type of values in `connected`.
    pub fn new(connected: &Connected, policy: Policy, metrics: &CacheMetrics) -> Self {
        Self {
            cache: Arc::clone(&connected.cache),
            tier: connected.tier,
            series: metrics.of(policy.name, connected.tier),
            policy,
            single_flight: SingleFlight::new(),
        }
    }

    /// Returns the value under `key` from the cache or from `load`; `None` when the load returns none.
    ///
    /// Of concurrent callers for one key, one runs its load and the others wait. If that one is dropped, another one
    /// runs its load. If the load fails, the error goes to its caller, and each of the others runs its own load once,
    /// concurrently and without filling the cache: no caller waits longer than for two loads.
    ///
    /// With [`Policy::max_wait`] this is so over all processes that share the cache: the others wait up to that time for
    /// the process that missed the key first. They load the value themselves if it takes longer, if the load fails, or if
    /// the cache is unavailable.
    pub async fn get_or_load<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        self.get_or_load_for(key, || async { load().await.map(Loaded::from) }).await
    }

    /// Like [`get_or_load`](Self::get_or_load), with a load that decides how long its result lasts.
    pub async fn get_or_load_for<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        let span = kennel_telemetry::sampled_span!(
            "cache.get_or_load",
            cache.name = self.policy.name,
            cache.tier = self.tier.name(),
            cache.outcome = tracing::field::Empty
        );
        self.get_or_load_shared(&self.full_key(key), load).instrument(span).await
    }

    /// Stores `value` and replaces the one that is there, in all processes that share the cache. Callers of
    /// [`get_or_load`](Self::get_or_load) see one of the two, and no load that started before fills the cache.
    pub async fn set(&self, key: &str, value: &V) -> Result<(), CacheError> {
        let key = self.full_key(key);
        let lifetime = self.policy.lifetime(true);
        if self.tier == Tier::None || lifetime.is_zero() {
            return Ok(());
        }
        let bytes = encode(Some(value)).ok_or_else(|| CacheError("the value cannot be encoded".into()))?;
        self.single_flight.cancel(&key);
        let _writing = self.single_flight.write_lock(&key).await;
        let set = self.cache.set(&key, bytes, lifetime).await;
        if set.is_err() {
            self.series.set_error.inc();
        }
        set
    }

    /// Removes `key`. After it has returned, no load that started before the call fills the cache, in this process or,
    /// for a shared cache, in another one; and later callers in this process do not join such a load. On an error the
    /// old value may be returned until it expires.
    pub async fn invalidate(&self, key: &str) -> Result<(), CacheError> {
        self.invalidate_key(key).instrument(self.invalidation_span(1)).await
    }

    /// Removes each of `keys` as [`invalidate`](Self::invalidate) does. Returns the first error; old values may then be
    /// returned until they expire.
    pub async fn invalidate_all(&self, keys: Vec<String>) -> Result<(), CacheError> {
        let span = self.invalidation_span(keys.len());
        let invalidate_key = |key: String| async move { self.invalidate_key(&key).await };
        let mut removals = stream::iter(keys).map(invalidate_key).buffer_unordered(MAX_CONCURRENT_REMOVALS);
        let all = async {
            let mut first = Ok(());
            while let Some(removed) = removals.next().await {
                first = first.and(removed);
            }
            first
        };
        all.instrument(span).await
    }

    fn invalidation_span(&self, keys: usize) -> tracing::Span {
        tracing::info_span!(
            "cache.invalidate",
            cache.name = self.policy.name,
            cache.tier = self.tier.name(),
            cache.keys = kennel_telemetry::as_i64(keys)
        )
    }

    async fn invalidate_key(&self, key: &str) -> Result<(), CacheError> {
        let key = self.full_key(key);
        // Cancelled first, so that later callers start a new load; then the lock waits for a fill that has already
        // started.
        self.single_flight.cancel(&key);
        let _writing = self.single_flight.write_lock(&key).await;
        let removed = self.cache.remove(&key).await;
        if removed.is_err() {
            self.series.remove_error.inc();
        }
        removed
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}:v{}:{key}", self.policy.name, self.policy.version)
    }

    async fn get_or_load_shared<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        let completed = self.single_flight.completed();
        let looked_up = self.lookup(key).await;
        self.series.request(looked_up.outcome, looked_up.depth);
        tracing::Span::current().record("cache.outcome", looked_up.outcome.label());
        let lease = match looked_up.found {
            Ok(found) => return Ok(found),
            Err(lease) => lease,
        };
        loop {
            let waiter = match self.single_flight.join(key) {
                Role::Leader(leader) => return self.load_as_leader(key, &leader, completed, lease, load).await,
                Role::Waiter(waiter) => waiter,
            };
            match waiter.wait().await {
                LoadResult::Loaded(value) => {
                    self.series.shared.inc();
                    return Ok(value);
                }
                // Not another single-flight load: with a failing store, callers would fail one after the other.
                LoadResult::Failed => return Ok(self.timed(load()).await?.value),
                LoadResult::Abandoned => {}
            }
        }
    }

    async fn load_as_leader<E, F>(
        &self,
        key: &str,
        leader: &Leader<'_, V>,
        completed: u64,
        mut lease: Lease,
        load: impl FnOnce() -> F,
    ) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        // Another load may have filled the cache between the lookup and the join.
        if self.single_flight.completed() != completed {
            match self.lookup(key).await.found {
                Ok(found) => {
                    leader.complete(LoadResult::Loaded(found.clone()));
                    return Ok(found);
                }
                Err(newer) => lease = newer,
            }
        }
        let lease = match self.wait_for_other_process(key, lease).await {
            Ok(found) => {
                self.series.shared.inc();
                leader.complete(LoadResult::Loaded(found.clone()));
                return Ok(found);
            }
            Err(lease) => lease,
        };
        match self.timed(load()).await {
            Ok(loaded) => {
                // Before the fill, so that waiters do not wait for the cache.
                leader.complete(LoadResult::Loaded(loaded.value.clone()));
                self.store(key, leader, &loaded, &lease).await;
                Ok(loaded.value)
            }
            Err(error) => {
                leader.complete(LoadResult::Failed);
                self.release(key, &lease).await;
                Err(error)
            }
        }
    }

    /// Waits while another process loads `key`. Returns the value, or the lease to fill the key if it has to be loaded
    /// here.
    async fn wait_for_other_process(&self, key: &str, mut lease: Lease) -> Result<Option<V>, Lease> {
        let started = Instant::now();
        while lease.is_of_another_process() && started.elapsed() < self.policy.max_wait {
            sleep(POLL_INTERVAL).await;
            match self.lookup(key).await.found {
                Ok(found) => return Ok(found),
                Err(newer) => lease = newer,
            }
        }
        Err(lease)
    }

    /// Lets processes that wait load the value now; after an error, they do when the lease or their time ends.
    async fn release(&self, key: &str, lease: &Lease) {
        if !self.policy.max_wait.is_zero() {
            self.cache.release(key, lease).await.ok();
        }
    }

    async fn timed<E>(&self, load: impl Future<Output = Result<Loaded<V>, E>>) -> Result<Loaded<V>, E> {
        let began = Instant::now();
        let loaded = load.await;
        let series = if loaded.is_ok() { &self.series.loaded } else { &self.series.load_error };
        series.observe(began.elapsed());
        loaded
    }

    async fn lookup(&self, key: &str) -> CacheLookup<V> {
        if self.tier == Tier::None {
            return CacheLookup::missing(Outcome::Bypass, Lease::default());
        }
        match self.cache.lookup(key).await {
            Ok(Lookup::Hit { value, depth, memo }) => match decode(&value, &memo) {
                Ok(found) => {
                    let outcome = if found.is_some() { Outcome::Hit } else { Outcome::NegativeHit };
                    CacheLookup { found: Ok(found), outcome, depth }
                }
                Err(Unreadable) => CacheLookup { depth, ..self.remove_unreadable(key).await },
            },
            Ok(Lookup::Miss(lease)) => CacheLookup::missing(Outcome::Miss, lease),
            Err(_) => CacheLookup::missing(Outcome::Error, Lease::default()),
        }
    }

    /// Removes an unreadable entry, so that the key can be filled.
    async fn remove_unreadable(&self, key: &str) -> CacheLookup<V> {
        let removed = self.cache.remove(key).await;
        match removed.and(self.cache.lookup(key).await) {
            Ok(Lookup::Miss(lease)) => CacheLookup::missing(Outcome::Error, lease),
            Ok(Lookup::Hit { .. }) | Err(_) => CacheLookup::missing(Outcome::Error, Lease::default()),
        }
    }

    async fn store(&self, key: &str, leader: &Leader<'_, V>, loaded: &Loaded<V>, lease: &Lease) {
        let value = loaded.value.as_ref();
        let lifetime = loaded.ttl.unwrap_or_else(|| self.policy.lifetime(value.is_some()));
        if self.tier == Tier::None {
            return;
        }
        if lifetime.is_zero() {
            return self.release(key, lease).await;
        }
        let Some(bytes) = encode(value) else {
            self.series.set_error.inc();
            return self.release(key, lease).await;
        };
        let _writing = self.single_flight.write_lock(key).await;
        if !leader.is_cancelled() && self.cache.fill(key, bytes, lifetime, lease).await.is_err() {
            self.series.set_error.inc();
        }
    }
}

/// Result of a lookup.
struct CacheLookup<V> {
    /// The value or its absence; or the lease to fill the key.
    found: Result<Option<V>, Lease>,
    outcome: Outcome,
    /// The tier to which `outcome` belongs.
    depth: usize,
}

impl<V> CacheLookup<V> {
    const fn missing(outcome: Outcome, lease: Lease) -> Self {
        Self { found: Err(lease), outcome, depth: usize::MAX }
    }
}

/// First byte of a negative entry.
const ABSENT: u8 = 0;
/// First byte of an entry with a value, which follows as JSON.
const PRESENT: u8 = 1;

fn encode<V: Serialize>(value: Option<&V>) -> Option<Bytes> {
    let Some(value) = value else {
        return Some(Bytes::from_static(&[ABSENT]));
    };
    let mut bytes = vec![PRESENT];
    serde_json::to_writer(&mut bytes, value).ok()?;
    Some(bytes.into())
}

/// The entry cannot be decoded.
struct Unreadable;

fn decode<V: DeserializeOwned + Clone + Send + Sync + 'static>(
    bytes: &[u8],
    memo: &Memo,
) -> Result<Option<V>, Unreadable> {
    match bytes.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&PRESENT, json)) => {
            if let Some(decoded) = memo.get::<V>() {
                return Ok(Some(V::clone(&decoded)));
            }
            let decoded: V = serde_json::from_slice(json).map_err(|_| Unreadable)?;
            memo.set(Arc::new(decoded.clone()));
            Ok(Some(decoded))
        }
        _ => Err(Unreadable),
    }
}
