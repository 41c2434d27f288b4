//! The typed cache: lifetimes, single-flight loading, and failures of the cache.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::poll;
use kennel_cache::{CacheMetrics, Connected, Loaded, Policy, Tier, TypedCache};
use kennel_core::Cache;
use kennel_core::cache::CacheError;
use prometheus::{Registry, TextEncoder};
use tokio::sync::{Notify, oneshot};

const TTL: Duration = Duration::from_mins(10);

/// A cache that can be set to fail or to write slowly, and that records its entries.
#[derive(Default)]
struct Probe {
    entries: Mutex<HashMap<String, (Bytes, Duration)>>,
    down: AtomicBool,
    hold_writes: AtomicBool,
    write_reached: Notify,
    write_released: Notify,
}

impl Probe {
    fn check(&self) -> Result<(), CacheError> {
        if self.down.load(Ordering::SeqCst) { Err(CacheError("down".into())) } else { Ok(()) }
    }

    fn ttl(&self, key: &str) -> Option<Duration> {
        self.entries.lock().unwrap().get(key).map(|entry| entry.1)
    }
}

#[async_trait]
impl Cache for Probe {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.check()?;
        Ok(self.entries.lock().unwrap().get(key).map(|entry| entry.0.clone()))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.check()?;
        if self.hold_writes.load(Ordering::SeqCst) {
            self.write_reached.notify_one();
            self.write_released.notified().await;
        }
        self.entries.lock().unwrap().insert(key.to_owned(), (value, ttl));
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.check()?;
        self.entries.lock().unwrap().remove(key);
        Ok(())
    }

    async fn increment(&self, _: &str, _: i64, _: Duration) -> Result<i64, CacheError> {
        unimplemented!("typed caches do not count")
    }

    async fn lock(&self, _: &str, _: &str, _: Duration) -> Result<bool, CacheError> {
        unimplemented!("typed caches do not lock")
    }

    async fn unlock(&self, _: &str, _: &str) -> Result<(), CacheError> {
        unimplemented!("typed caches do not lock")
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.check()
    }
}

struct Bench {
    probe: Arc<Probe>,
    typed: TypedCache<String>,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        Self::with(Policy { jitter: 0.0, ..Policy::new("dogs.by_id", TTL) })
    }

    fn with(policy: Policy) -> Self {
        let probe = Arc::new(Probe::default());
        let connected = Connected { cache: Arc::clone(&probe) as Arc<dyn Cache>, tier: Tier::Memory };
        let registry = Registry::new();
        let metrics = CacheMetrics::register(&registry).unwrap();
        Self { typed: TypedCache::new(&connected, policy, &metrics), probe, registry }
    }

    async fn load(&self, key: &str, value: Option<&str>) -> Option<String> {
        let value = value.map(str::to_owned);
        self.typed.get_or_load(key, async || Ok::<_, ()>(value)).await.unwrap()
    }

    /// The value, which must be in the cache.
    async fn cached(&self, key: &str) -> Option<String> {
        self.typed.get_or_load(key, async || Err("was not in the cache")).await.unwrap()
    }

    fn metric(&self, line: &str) -> bool {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().any(|found| found == line)
    }
}

#[tokio::test]
async fn loads_once_and_stores() {
    let bench = Bench::new();
    assert_eq!(bench.load("rex", Some("good")).await.as_deref(), Some("good"));
    assert_eq!(bench.cached("rex").await.as_deref(), Some("good"));
    assert_eq!(bench.probe.ttl("dogs.by_id:v1:rex"), Some(TTL));
}

#[tokio::test]
async fn stores_negative_entries_for_their_own_lifetime() {
    let bench = Bench::new();
    assert_eq!(bench.load("ghost", None).await, None);
    assert_eq!(bench.cached("ghost").await, None);
    assert_eq!(bench.probe.ttl("dogs.by_id:v1:ghost"), Some(TTL / 10));
}

#[tokio::test]
async fn stores_no_negative_entries_with_a_lifetime_of_zero() {
    let bench = Bench::with(Policy { negative_ttl: Duration::ZERO, ..Policy::new("dogs.by_id", TTL) });
    assert_eq!(bench.load("ghost", None).await, None);
    assert_eq!(bench.load("ghost", Some("born")).await.as_deref(), Some("born"));
}

#[tokio::test]
async fn jitter_shortens_lifetimes_at_random() {
    let bench = Bench::with(Policy { jitter: 0.5, ..Policy::new("dogs.by_id", TTL) });
    let mut lives = Vec::new();
    for number in 0..50 {
        bench.load(&number.to_string(), Some("dog")).await;
        lives.push(bench.probe.ttl(&format!("dogs.by_id:v1:{number}")).unwrap());
    }
    assert!(lives.iter().all(|life| (TTL / 2..=TTL).contains(life)), "{lives:?}");
    lives.sort_unstable();
    lives.dedup();
    assert!(lives.len() > 10, "{lives:?}");
}

#[tokio::test]
async fn names_and_versions_separate_values() {
    let probe: Arc<dyn Cache> = Arc::new(Probe::default());
    let connected = Connected { cache: probe, tier: Tier::Memory };
    let metrics = CacheMetrics::register(&Registry::new()).unwrap();
    let policy = Policy::new("dogs.by_id", TTL);
    for policy in [policy, Policy { version: 2, ..policy }, Policy { name: "dogs.by_breed", ..policy }] {
        let typed = TypedCache::<String>::new(&connected, policy, &metrics);
        let expected = format!("{policy:?}");
        let value = typed.get_or_load("rex", async || Ok::<_, ()>(Some(expected.clone()))).await;
        assert_eq!(value, Ok(Some(expected.clone())));
    }
}

#[tokio::test]
async fn concurrent_misses_share_one_load() {
    let bench = Bench::new();
    let loads = AtomicUsize::new(0);
    let release = Notify::new();
    let ask = || {
        bench.typed.get_or_load("rex", async || {
            loads.fetch_add(1, Ordering::SeqCst);
            release.notified().await;
            Ok::<_, ()>(Some("good".to_owned()))
        })
    };
    let asking = join_all((0..50).map(|_| ask()));
    tokio::pin!(asking);
    assert!(poll!(&mut asking).is_pending());
    release.notify_one();
    assert!(asking.await.into_iter().all(|value| value == Ok(Some("good".to_owned()))));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert!(bench.metric(r#"cache_loads_shared_total{cache="dogs.by_id"} 49"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn misses_on_many_threads_share_one_load() {
    let bench = Arc::new(Bench::new());
    for round in 0..200 {
        let loads = Arc::new(AtomicUsize::new(0));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (bench, loads) = (Arc::clone(&bench), Arc::clone(&loads));
            asking.spawn(async move {
                let load = async || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(Some("good".to_owned()))
                };
                bench.typed.get_or_load(&round.to_string(), load).await
            });
        }
        assert!(asking.join_all().await.into_iter().all(|value| value == Ok(Some("good".to_owned()))));
        assert_eq!(loads.load(Ordering::SeqCst), 1, "round {round}");
    }
}

#[tokio::test]
async fn different_keys_load_concurrently() {
    let bench = Bench::new();
    let stuck = bench.typed.get_or_load("stuck", async || pending::<Result<_, ()>>().await);
    tokio::pin!(stuck);
    assert!(poll!(&mut stuck).is_pending());
    assert_eq!(bench.load("free", Some("good")).await.as_deref(), Some("good"));
}

#[tokio::test]
async fn a_waiter_replaces_a_dropped_leader() {
    let bench = Bench::new();
    let mut leader = Box::pin(bench.typed.get_or_load("rex", async || pending::<Result<_, ()>>().await));
    assert!(poll!(&mut leader).is_pending());
    let followers = join_all((0..3).map(|_| bench.load("rex", Some("good"))));
    tokio::pin!(followers);
    assert!(poll!(&mut followers).is_pending());
    drop(leader);
    assert_eq!(followers.await, vec![Some("good".to_owned()); 3]);
    assert_eq!(bench.cached("rex").await.as_deref(), Some("good"));
}

#[tokio::test]
async fn a_failed_load_fails_only_the_leader() {
    let bench = Bench::new();
    let (fail, failed) = oneshot::channel::<()>();
    let leader = bench.typed.get_or_load("rex", async || failed.await.map(|()| None).map_err(|_| "down"));
    let loads = AtomicUsize::new(0);
    let follow = || {
        bench.typed.get_or_load("rex", async || {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, &str>(Some("good".to_owned()))
        })
    };
    let all = async { tokio::join!(leader, follow(), follow()) };
    tokio::pin!(all);
    assert!(poll!(&mut all).is_pending());
    drop(fail);
    let good = Ok(Some("good".to_owned()));
    assert_eq!(all.await, (Err("down"), good.clone(), good));
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    assert_eq!(bench.load("rex", Some("later")).await.as_deref(), Some("later"), "errors are not stored");
}

#[tokio::test]
async fn loads_when_the_cache_fails() {
    let bench = Bench::new();
    bench.probe.down.store(true, Ordering::SeqCst);
    assert_eq!(bench.load("rex", Some("good")).await.as_deref(), Some("good"));
    assert!(bench.typed.invalidate("rex").await.is_err());
    assert!(bench.metric(r#"cache_requests_total{cache="dogs.by_id",outcome="error",tier="memory"} 1"#));
    for operation in ["set", "remove"] {
        assert!(bench.metric(&format!(
            r#"cache_write_errors_total{{cache="dogs.by_id",operation="{operation}",tier="memory"}} 1"#
        )));
    }
    bench.probe.down.store(false, Ordering::SeqCst);
    assert_eq!(bench.load("rex", Some("fresh")).await.as_deref(), Some("fresh"));
}

#[tokio::test]
async fn replaces_unreadable_entries() {
    for garbage in [&b""[..], b"\x01{", b"\x01 7", b"\x00x", b"\x02"] {
        let bench = Bench::new();
        bench.probe.set("dogs.by_id:v1:rex", Bytes::from(garbage), TTL).await.unwrap();
        assert_eq!(bench.load("rex", Some("good")).await.as_deref(), Some("good"), "{garbage:?}");
        assert_eq!(bench.cached("rex").await.as_deref(), Some("good"));
    }
}

#[tokio::test]
async fn a_load_decides_how_long_its_value_lasts() {
    let bench = Bench::new();
    for (key, ttl, expected) in [("rex", None, TTL), ("bello", Some(TTL * 2), TTL * 2)] {
        let loaded = Loaded { value: Some("good".to_owned()), ttl };
        let found = bench.typed.get_or_load_for(key, async || Ok::<_, ()>(loaded)).await;
        assert_eq!(found, Ok(Some("good".to_owned())));
        assert_eq!(bench.probe.ttl(&format!("dogs.by_id:v1:{key}")), Some(expected));
    }
    let loaded = Loaded { value: None, ttl: Some(Duration::ZERO) };
    assert_eq!(bench.typed.get_or_load_for("ghost", async || Ok::<_, ()>(loaded)).await, Ok(None));
    assert_eq!(bench.probe.ttl("dogs.by_id:v1:ghost"), None);
}

#[tokio::test]
async fn a_value_that_is_set_replaces_the_old_one_and_a_running_load() {
    let bench = Bench::new();
    bench.load("rex", Some("old")).await;
    bench.typed.set("rex", &"new".to_owned()).await.unwrap();
    assert_eq!(bench.cached("rex").await.as_deref(), Some("new"));
    let (finish, finished) = oneshot::channel();
    let load = bench.typed.get_or_load("bello", async || Ok::<_, ()>(finished.await.ok()));
    tokio::pin!(load);
    assert!(poll!(&mut load).is_pending());
    bench.typed.set("bello", &"new".to_owned()).await.unwrap();
    finish.send("old".to_owned()).unwrap();
    assert_eq!(load.await, Ok(Some("old".to_owned())));
    assert_eq!(bench.cached("bello").await.as_deref(), Some("new"));
    bench.probe.down.store(true, Ordering::SeqCst);
    bench.typed.set("rex", &"newer".to_owned()).await.unwrap_err();
}

#[tokio::test]
async fn invalidation_removes() {
    let bench = Bench::new();
    bench.load("rex", Some("old")).await;
    bench.load("bello", Some("stays")).await;
    bench.typed.invalidate("rex").await.unwrap();
    assert_eq!(bench.load("rex", Some("new")).await.as_deref(), Some("new"));
    assert_eq!(bench.cached("bello").await.as_deref(), Some("stays"));
}

#[tokio::test]
async fn invalidation_wins_over_a_running_load() {
    let bench = Bench::new();
    let (finish, finished) = oneshot::channel();
    let old = bench.typed.get_or_load("rex", async || Ok::<_, ()>(finished.await.ok()));
    tokio::pin!(old);
    assert!(poll!(&mut old).is_pending());
    bench.typed.invalidate("rex").await.unwrap();
    assert_eq!(bench.load("rex", Some("new")).await.as_deref(), Some("new"), "does not join the old load");
    finish.send("old".to_owned()).unwrap();
    assert_eq!(old.await, Ok(Some("old".to_owned())));
    assert_eq!(bench.cached("rex").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn invalidation_wins_over_a_running_write() {
    let bench = Bench::new();
    bench.probe.hold_writes.store(true, Ordering::SeqCst);
    let old = bench.load("rex", Some("old"));
    let invalidated = async {
        bench.probe.write_reached.notified().await;
        let (first, second) = (bench.typed.invalidate("rex"), bench.typed.invalidate("rex"));
        tokio::pin!(first, second);
        assert!(poll!(&mut first).is_pending(), "waits for the write");
        assert!(poll!(&mut second).is_pending(), "so does one more");
        bench.probe.write_released.notify_one();
        let (first, second) = tokio::join!(first, second);
        first.and(second).unwrap();
        assert_eq!(bench.probe.ttl("dogs.by_id:v1:rex"), None);
    };
    tokio::join!(old, invalidated);
    bench.probe.hold_writes.store(false, Ordering::SeqCst);
    assert_eq!(bench.load("rex", Some("new")).await.as_deref(), Some("new"));
}

#[tokio::test]
async fn without_a_cache_every_request_loads() {
    let registry = Registry::new();
    let metrics = CacheMetrics::register(&registry).unwrap();
    let typed = TypedCache::new(&Connected::none(), Policy::new("dogs.by_id", TTL), &metrics);
    for number in [1, 2] {
        assert_eq!(typed.get_or_load("rex", async || Ok::<_, ()>(Some(number))).await, Ok(Some(number)));
    }
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains(r#"cache_requests_total{cache="dogs.by_id",outcome="bypass",tier="none"} 2"#), "{text}");
}

#[tokio::test]
async fn counts_each_outcome() {
    let bench = Bench::new();
    bench.load("rex", Some("good")).await;
    bench.load("rex", Some("good")).await;
    bench.load("ghost", None).await;
    bench.load("ghost", None).await;
    bench.load("ghost", None).await;
    let failed = bench.typed.get_or_load("bad", async || Err::<Option<String>, _>("down")).await;
    assert_eq!(failed, Err("down"));
    for (outcome, count) in [("hit", 1), ("negative_hit", 2), ("miss", 3), ("error", 0), ("bypass", 0)] {
        let line = format!(r#"cache_requests_total{{cache="dogs.by_id",outcome="{outcome}",tier="memory"}} {count}"#);
        assert!(bench.metric(&line), "{line}");
    }
    assert!(bench.metric(r#"cache_load_duration_seconds_count{cache="dogs.by_id",outcome="ok"} 2"#));
    assert!(bench.metric(r#"cache_load_duration_seconds_count{cache="dogs.by_id",outcome="error"} 1"#));
}
