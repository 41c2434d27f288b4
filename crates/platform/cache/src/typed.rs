//! A cache of values of one type: what services use.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::flight::{Flights, Landing, Lead, Role};
use crate::metrics::{Outcome, Series};
use crate::{CacheMetrics, Connected, Tier};

/// How many keys are forgotten at a time.
const FORGET_AT_ONCE: usize = 64;

/// How long a cache keeps what, and under which name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Names the cache in keys and metrics, such as `dogs.by_id`; two caches over one backend need two names.
    pub name: &'static str,
    /// Part of the key; raise it when the shape of the values changes, so that old ones are not read.
    pub version: u32,
    /// The longest that a value is kept.
    pub ttl: Duration,
    /// The longest that the absence of a value is kept; zero keeps no absences.
    pub negative_ttl: Duration,
    /// By how much of itself a time above is cut at most, at random, so that entries set together do not end
    /// together: 0.0 to 1.0.
    pub jitter: f64,
}

impl Policy {
    /// Values for `ttl`, absences for a tenth of it, a tenth of jitter.
    pub fn new(name: &'static str, ttl: Duration) -> Self {
        Self { name, version: 1, ttl, negative_ttl: ttl / 10, jitter: 0.1 }
    }

    fn lifetime(&self, present: bool) -> Duration {
        let longest = if present { self.ttl } else { self.negative_ttl };
        longest.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * rand::random::<f64>())
    }
}

/// Values of type `V` under text keys, loaded where the cache does not have them.
///
/// The cache is never in the way: when it fails, or holds something unreadable, a metric says so and the value is
/// loaded. Share it in an [`Arc`].
pub struct Typed<V> {
    cache: Arc<dyn Cache>,
    tier: Tier,
    policy: Policy,
    series: Series,
    flights: Flights<V>,
}

impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Typed<V> {
    /// Values of one kind in `connected`.
    pub fn new(connected: &Connected, policy: Policy, metrics: &CacheMetrics) -> Self {
        Self {
            cache: Arc::clone(&connected.cache),
            tier: connected.tier,
            series: metrics.of(policy.name, connected.tier),
            policy,
            flights: Flights::new(),
        }
    }

    /// The value under `key`, from the cache or else from `load`; `None` when the load says there is none.
    ///
    /// Of those who ask for one key at a time, one runs its load and the others wait for it. When that one is
    /// dropped, another takes over. When its load fails, it gets the error, and each of the others runs its own
    /// load once, all at a time, without filling the cache: no one waits longer than for two loads.
    pub async fn get_or_load<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        let span = tracing::info_span!(
            "cache.get_or_load",
            cache.name = self.policy.name,
            cache.tier = self.tier.name(),
            cache.outcome = tracing::field::Empty
        );
        self.get_or_share(&self.full_key(key), load).instrument(span).await
    }

    /// Forgets `key`. Once this has returned, no load that began before it was called fills the cache, in this process
    /// or, where the cache is shared, in another; and who asks here does not join such a load. On an error the old
    /// value may stay until its time is up.
    pub async fn invalidate(&self, key: &str) -> Result<(), CacheError> {
        self.forget(key).instrument(self.forgetting(1)).await
    }

    /// Forgets each of `keys` as [`invalidate`](Self::invalidate) does. On an error, which is the first of them, old
    /// values may stay until their time is up.
    pub async fn invalidate_all(&self, keys: Vec<String>) -> Result<(), CacheError> {
        let span = self.forgetting(keys.len());
        let forget = |key: String| async move { self.forget(&key).await };
        let mut removals = stream::iter(keys).map(forget).buffer_unordered(FORGET_AT_ONCE);
        let all = async {
            let mut first = Ok(());
            while let Some(removed) = removals.next().await {
                first = first.and(removed);
            }
            first
        };
        all.instrument(span).await
    }

    fn forgetting(&self, keys: usize) -> tracing::Span {
        tracing::info_span!(
            "cache.invalidate",
            cache.name = self.policy.name,
            cache.tier = self.tier.name(),
            cache.keys = kennel_telemetry::number(keys)
        )
    }

    async fn forget(&self, key: &str) -> Result<(), CacheError> {
        let key = self.full_key(key);
        self.flights.call_off(&key);
        let _writing = self.flights.writing(&key).await;
        let removed = self.cache.remove(&key).await;
        if removed.is_err() {
            self.series.remove_error.inc();
        }
        removed
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}:v{}:{key}", self.policy.name, self.policy.version)
    }

    async fn get_or_share<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        let landed = self.flights.landed();
        let looked = self.look(key).await;
        self.series.request(looked.outcome, looked.depth);
        tracing::Span::current().record("cache.outcome", looked.outcome.label());
        let lease = match looked.found {
            Ok(found) => return Ok(found),
            Err(lease) => lease,
        };
        loop {
            let follow = match self.flights.join(key) {
                Role::Lead(duty) => return self.lead(key, &duty, landed, lease, load).await,
                Role::Follow(follow) => follow,
            };
            match follow.landing().await {
                Landing::Loaded(value) => {
                    self.series.shared.inc();
                    return Ok(value);
                }
                Landing::Failed => return self.timed(load()).await,
                Landing::Abandoned => {}
            }
        }
    }

    async fn lead<E, F>(
        &self,
        key: &str,
        duty: &Lead<'_, V>,
        landed: u64,
        mut lease: Lease,
        load: impl FnOnce() -> F,
    ) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        // Another load may have ended between the look and the joining.
        if self.flights.landed() != landed {
            match self.look(key).await.found {
                Ok(found) => {
                    duty.land(Landing::Loaded(found.clone()));
                    return Ok(found);
                }
                Err(newer) => lease = newer,
            }
        }
        let loaded = self.timed(load()).await;
        match &loaded {
            Ok(value) => {
                duty.land(Landing::Loaded(value.clone()));
                self.keep(key, duty, value.as_ref(), &lease).await;
            }
            Err(_) => duty.land(Landing::Failed),
        }
        loaded
    }

    async fn timed<E>(&self, load: impl Future<Output = Result<Option<V>, E>>) -> Result<Option<V>, E> {
        let began = Instant::now();
        let loaded = load.await;
        let series = if loaded.is_ok() { &self.series.loaded } else { &self.series.load_error };
        series.observe(began.elapsed());
        loaded
    }

    async fn look(&self, key: &str) -> Looked<V> {
        if self.tier == Tier::None {
            return Looked::nothing(Outcome::Bypass, Lease::default());
        }
        match self.cache.lookup(key).await {
            Ok(Lookup::Hit { value, depth }) => match decode(&value) {
                Ok(found) => {
                    let outcome = if found.is_some() { Outcome::Hit } else { Outcome::NegativeHit };
                    Looked { found: Ok(found), outcome, depth }
                }
                Err(Unreadable) => Looked { depth, ..self.look_without(key).await },
            },
            Ok(Lookup::Miss(lease)) => Looked::nothing(Outcome::Miss, lease),
            Err(_) => Looked::nothing(Outcome::Error, Lease::default()),
        }
    }

    /// Does away with an entry that no one can read, so that it can be filled.
    async fn look_without(&self, key: &str) -> Looked<V> {
        let removed = self.cache.remove(key).await;
        match removed.and(self.cache.lookup(key).await) {
            Ok(Lookup::Miss(lease)) => Looked::nothing(Outcome::Error, lease),
            Ok(Lookup::Hit { .. }) | Err(_) => Looked::nothing(Outcome::Error, Lease::default()),
        }
    }

    async fn keep(&self, key: &str, duty: &Lead<'_, V>, value: Option<&V>, lease: &Lease) {
        let lifetime = self.policy.lifetime(value.is_some());
        if self.tier == Tier::None || lifetime.is_zero() {
            return;
        }
        let Some(bytes) = encode(value) else {
            self.series.set_error.inc();
            return;
        };
        let _writing = self.flights.writing(key).await;
        if !duty.is_stale() && self.cache.fill(key, bytes, lifetime, lease).await.is_err() {
            self.series.set_error.inc();
        }
    }
}

/// What a look into the cache came to.
struct Looked<V> {
    /// The value or its absence, or else the right to fill the key.
    found: Result<Option<V>, Lease>,
    outcome: Outcome,
    /// The layer that `outcome` is of.
    depth: usize,
}

impl<V> Looked<V> {
    const fn nothing(outcome: Outcome, lease: Lease) -> Self {
        Self { found: Err(lease), outcome, depth: usize::MAX }
    }
}

/// The first byte of an entry that says there is no value.
const ABSENT: u8 = 0;
/// The first byte of an entry whose value follows as JSON.
const PRESENT: u8 = 1;

fn encode<V: Serialize>(value: Option<&V>) -> Option<Bytes> {
    let Some(value) = value else {
        return Some(Bytes::from_static(&[ABSENT]));
    };
    let mut bytes = vec![PRESENT];
    serde_json::to_writer(&mut bytes, value).ok()?;
    Some(bytes.into())
}

/// An entry that is none of ours.
struct Unreadable;

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Result<Option<V>, Unreadable> {
    match bytes.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&PRESENT, json)) => serde_json::from_slice(json).map(Some).map_err(|_| Unreadable),
        _ => Err(Unreadable),
    }
}
