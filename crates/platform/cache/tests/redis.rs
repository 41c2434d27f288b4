//! Tests specific to Redis and the memory tier: replicas, leases, and an unreachable Redis.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::poll;
use kennel_cache::redis::RedisCache;
use kennel_cache::tiered::TieredCache;
use kennel_cache::{
    CacheConfig, CacheMetrics, ConnectError, Connected, Policy, RedisTuning, Tier, TypedCache, connect,
};
use kennel_config::HumanDuration;
use kennel_core::Cache;
use kennel_core::cache::{Lease, Lookup};
use kennel_testkit::{FaultProxy, Mode};
use prometheus::{Registry, TextEncoder};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use support::Space;

const LONG: Duration = Duration::from_mins(10);

/// Settings with a memory lifetime so long that only change messages remove entries.
fn lasting(config: CacheConfig) -> CacheConfig {
    CacheConfig { redis: RedisTuning { memory_ttl: LONG, ..config.redis }, ..config }
}

async fn tiered(space: &Space, config: CacheConfig) -> TieredCache {
    TieredCache::connect(&lasting(config), space.prefix()).await.unwrap()
}

async fn proxy(space: &Space) -> FaultProxy {
    let address: SocketAddr = tokio::net::lookup_host(space.addr()).await.unwrap().next().unwrap();
    FaultProxy::new(address).await
}

/// Settings that connect through the proxy.
fn through(space: &Space, proxy: &FaultProxy) -> CacheConfig {
    CacheConfig { redis_addr: Some(proxy.address().to_string()), ..space.config() }
}

/// Settings that connect through the proxy, with a heartbeat so long that a command detects the lost connection first.
fn hasty(space: &Space, proxy: &FaultProxy) -> CacheConfig {
    let (brief, config) = (Duration::from_millis(300), through(space, proxy));
    let redis = RedisTuning { connect_timeout: brief, heartbeat: LONG, ..config.redis };
    CacheConfig { redis_timeout: HumanDuration(brief), redis, ..config }
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let found = timeout(Duration::from_secs(20), async {
        while !look().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

async fn set(cache: &dyn Cache, key: &str, value: &'static str) {
    cache.set(key, Bytes::from_static(value.as_bytes()), LONG).await.unwrap();
}

async fn get(cache: &dyn Cache, key: &str) -> Option<String> {
    cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Returns the lease of a lookup, which must be a miss.
async fn lease(cache: &dyn Cache, key: &str) -> Lease {
    match cache.lookup(key).await.unwrap() {
        Lookup::Miss(lease) => lease,
        hit @ Lookup::Hit { .. } => panic!("{hit:?}"),
    }
}

/// Returns the number of tiers that did not have the key.
async fn depth(cache: &dyn Cache, key: &str) -> Option<usize> {
    match cache.lookup(key).await.unwrap() {
        Lookup::Miss(_) => None,
        Lookup::Hit { depth, .. } => Some(depth),
    }
}

async fn fill(cache: &dyn Cache, key: &str, value: &'static str, lease: &Lease) -> bool {
    cache.fill(key, Bytes::from_static(value.as_bytes()), LONG, lease).await.unwrap()
}

struct Replica {
    typed: TypedCache<String>,
    registry: Registry,
}

impl Replica {
    async fn new(space: &Space, config: CacheConfig) -> Self {
        Self::with(space, config, Policy::new("dogs", LONG)).await
    }

    /// A replica that waits for the loads of others.
    async fn waiting(space: &Space, config: CacheConfig, max_wait: Duration) -> Self {
        Self::with(space, config, Policy { max_wait, ..Policy::new("dogs", LONG) }).await
    }

    async fn with(space: &Space, config: CacheConfig, policy: Policy) -> Self {
        let connected = Connected { cache: Arc::new(tiered(space, config).await), tier: Tier::Redis };
        let registry = Registry::new();
        let metrics = CacheMetrics::register(&registry).unwrap();
        Self { typed: TypedCache::new(&connected, policy, &metrics), registry }
    }

    async fn load(&self, key: &str, value: &str) -> String {
        self.typed.get_or_load(key, async || Ok::<_, ()>(Some(value.to_owned()))).await.unwrap().unwrap()
    }

    fn requests(&self, tier: &str, outcome: &str) -> u64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let start = format!(r#"cache_requests_total{{cache="dogs",outcome="{outcome}",tier="{tier}"}} "#);
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn a_removal_reaches_the_memory_of_other_replicas() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (tiered(&space, space.config()).await, tiered(&space, space.config()).await);
    set(&one, "rex", "old").await;
    set(&one, "bello", "stays").await;
    for key in ["rex", "bello"] {
        eventually("the announcement of the set is through", async || {
            get(&other, key).await.unwrap();
            depth(&other, key).await == Some(0)
        })
        .await;
    }
    one.remove("rex").await.unwrap();
    assert_eq!(get(&one, "rex").await, None, "at once where it was called");
    eventually("the other forgets", async || get(&other, "rex").await.is_none()).await;
    assert_eq!(depth(&other, "bello").await, Some(0), "other keys remain in memory");
    set(&one, "bello", "new").await;
    eventually("the other hears of the set", async || get(&other, "bello").await.as_deref() == Some("new")).await;
}

#[tokio::test]
async fn a_load_of_another_process_does_not_overwrite_an_invalidation() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (Replica::new(&space, space.config()).await, Replica::new(&space, space.config()).await);
    let (finish, finished) = oneshot::channel();
    let (starting, mut underway) = oneshot::channel();
    let slow = other.typed.get_or_load("rex", async || {
        starting.send(()).unwrap();
        Ok::<_, ()>(finished.await.ok())
    });
    tokio::pin!(slow);
    timeout(Duration::from_secs(20), async {
        while underway.try_recv().is_err() {
            assert!(poll!(&mut slow).is_pending());
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    one.typed.invalidate("rex").await.unwrap();
    finish.send("old".to_owned()).unwrap();
    assert_eq!(slow.await, Ok(Some("old".to_owned())), "who asked before may still see it");
    assert_eq!(one.load("rex", "new").await, "new");
    assert_eq!(other.load("rex", "newer").await, "new", "from the cache");
}

/// Polls a load until it runs, so that it is the first one of all replicas.
async fn underway(load: &mut (impl Future + Unpin), running: &AtomicBool) {
    eventually("the load runs", async || {
        assert!(poll!(&mut *load).is_pending());
        running.load(Ordering::SeqCst)
    })
    .await;
}

#[tokio::test]
async fn of_all_replicas_one_loads_and_the_others_wait() {
    let Some(space) = Space::new() else { return };
    let one = Replica::waiting(&space, space.config(), LONG).await;
    let other = Replica::waiting(&space, space.config(), LONG).await;
    let loads = AtomicUsize::new(0);
    let load = async || {
        loads.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(200)).await;
        Ok::<_, ()>(Some("good".to_owned()))
    };
    let callers = (0..1_000).map(|number| if number % 2 == 0 { &one } else { &other });
    let found = join_all(callers.map(|replica| replica.typed.get_or_load("rex", load))).await;
    assert!(found.into_iter().all(|found| found.unwrap().as_deref() == Some("good")));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    // Absence is shared as well.
    let none = async || {
        loads.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(200)).await;
        Ok::<_, ()>(None)
    };
    let found = tokio::join!(one.typed.get_or_load("ghost", none), other.typed.get_or_load("ghost", none));
    assert_eq!((found, loads.load(Ordering::SeqCst)), ((Ok(None), Ok(None)), 2));
}

#[tokio::test]
async fn a_replica_that_waits_loads_when_the_other_fails_or_its_value_is_removed() {
    let Some(space) = Space::new() else { return };
    let one = Replica::waiting(&space, space.config(), LONG).await;
    let other = Replica::waiting(&space, space.config(), LONG).await;
    for (key, fails) in [("failed", true), ("removed", false)] {
        let (running, (finish, finished)) = (AtomicBool::new(false), oneshot::channel::<()>());
        let mut first = Box::pin(one.typed.get_or_load(key, async || {
            running.store(true, Ordering::SeqCst);
            finished.await.unwrap();
            if fails { Err("down") } else { Ok(Some("old".to_owned())) }
        }));
        underway(&mut first, &running).await;
        let mut second = Box::pin(other.load(key, "new"));
        assert!(timeout(Duration::from_millis(100), &mut second).await.is_err(), "it waits");
        if !fails {
            one.typed.invalidate(key).await.unwrap();
        }
        let second = if fails {
            finish.send(()).unwrap();
            assert_eq!(first.await, Err("down"));
            timeout(Duration::from_secs(20), second).await
        } else {
            let second = timeout(Duration::from_secs(20), second).await;
            finish.send(()).unwrap();
            assert_eq!(first.await, Ok(Some("old".to_owned())));
            second
        };
        assert_eq!(second.unwrap(), "new");
        assert_eq!(one.load(key, "newer").await, "new", "from the cache");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_load_whose_result_is_not_stored() {
    let Some(space) = Space::new() else { return };
    let policy = Policy { max_wait: LONG, negative_ttl: Duration::ZERO, ..Policy::new("dogs", LONG) };
    for _ in 0..2 {
        let replica = Replica::with(&space, space.config(), policy).await;
        let found = replica.typed.get_or_load("ghost", async || Ok::<_, ()>(None));
        assert_eq!(timeout(Duration::from_secs(20), found).await.unwrap(), Ok(None));
    }
}

#[tokio::test]
async fn a_replica_waits_for_a_limited_time_and_not_without_redis() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let gone = tiered(&space, space.config()).await;
    for key in ["one", "other"] {
        lease(&gone, &format!("dogs:v1:{key}")).await;
    }
    let brief = Replica::waiting(&space, space.config(), Duration::from_millis(100)).await;
    let started = Instant::now();
    assert_eq!(brief.load("one", "loaded").await, "loaded");
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(brief.load("one", "again").await, "loaded", "the first one fills the cache");

    let patient = Replica::waiting(&space, hasty(&space, &proxy), LONG).await;
    let mut waiting = Box::pin(patient.load("other", "loaded"));
    assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    proxy.set(Mode::Drop);
    assert_eq!(timeout(Duration::from_secs(20), waiting).await.unwrap(), "loaded");
}

#[tokio::test]
async fn the_load_of_a_caller_that_left_is_taken_over_in_its_process() {
    let Some(space) = Space::new() else { return };
    let replica = Replica::waiting(&space, space.config(), LONG).await;
    let running = AtomicBool::new(false);
    let mut left = Box::pin(replica.typed.get_or_load("rex", async || {
        running.store(true, Ordering::SeqCst);
        pending::<Result<Option<String>, ()>>().await
    }));
    underway(&mut left, &running).await;
    drop(left);
    assert_eq!(timeout(Duration::from_secs(20), replica.load("rex", "loaded")).await.unwrap(), "loaded");
}

#[tokio::test]
async fn a_value_that_is_set_is_seen_by_all_replicas() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (Replica::new(&space, space.config()).await, Replica::new(&space, space.config()).await);
    assert_eq!((one.load("rex", "old").await, other.load("rex", "unused").await), ("old".into(), "old".into()));
    one.typed.set("rex", &"new".to_owned()).await.unwrap();
    assert_eq!(one.load("rex", "unused").await, "new");
    eventually("the other sees it", async || other.load("rex", "unused").await == "new").await;
}

#[tokio::test]
async fn a_lease_ends_with_a_removal_a_set_or_a_fill() {
    let Some(space) = Space::new() else { return };
    let (one, other) =
        (RedisCache::connect(&space.config(), space.prefix()).await.unwrap(), tiered(&space, space.config()).await);
    let old = lease(&one, "rex").await;
    other.remove("rex").await.unwrap();
    assert!(!fill(&one, "rex", "old", &old).await);
    let new = lease(&other, "rex").await;
    assert_ne!(old, new);
    assert!(!fill(&one, "rex", "old", &old).await, "a newer lease does not revive an older one");
    assert!(fill(&other, "rex", "new", &new).await);
    assert!(!fill(&one, "rex", "old", &new).await, "it is used up");
    assert_eq!(get(&one, "rex").await.as_deref(), Some("new"));
    let before = lease(&one, "bello").await;
    set(&other, "bello", "set").await;
    assert!(!fill(&one, "bello", "loaded", &before).await);
    assert_eq!(get(&one, "bello").await.as_deref(), Some("set"));
}

#[tokio::test]
async fn a_fill_needs_a_lease() {
    let Some(space) = Space::new() else { return };
    let cache = tiered(&space, space.config()).await;
    for lease in [Lease::default(), Lease::new(7)] {
        assert!(!fill(&cache, "rex", "x", &lease).await);
    }
    assert_eq!(get(&cache, "rex").await, None);
    let shared = (lease(&cache, "rex").await, lease(&cache, "rex").await);
    assert_eq!(shared.0, shared.1, "loads side by side share one, and the first fills");
    assert!(fill(&cache, "rex", "x", &shared.1).await);
}

#[tokio::test]
async fn memory_lifetimes_do_not_exceed_those_in_redis() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (tiered(&space, space.config()).await, tiered(&space, space.config()).await);
    one.set("rex", Bytes::from_static(b"x"), Duration::from_millis(300)).await.unwrap();
    get(&other, "rex").await;
    eventually("its time is up", async || get(&other, "rex").await.is_none()).await;
    let redis = RedisTuning { memory_ttl: Duration::from_millis(50), ..space.config().redis };
    let brief = CacheConfig { redis, ..space.config() };
    let brief = TieredCache::connect(&brief, space.prefix()).await.unwrap();
    set(&one, "bello", "x").await;
    eventually("it is in memory", async || {
        get(&brief, "bello").await.unwrap();
        depth(&brief, "bello").await == Some(0)
    })
    .await;
    eventually("it is in Redis alone", async || depth(&brief, "bello").await == Some(1)).await;
}

#[tokio::test]
async fn concurrent_lookups_query_redis_once() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (tiered(&space, space.config()).await, tiered(&space, space.config()).await);
    set(&one, "rex", "x").await;
    // The change message arrives before the response to this.
    other.ping().await.unwrap();
    let mut monitor = BufReader::new(tokio::net::TcpStream::connect(space.addr()).await.unwrap());
    monitor.write_all(b"MONITOR\r\n").await.unwrap();
    let mut line = String::new();
    monitor.read_line(&mut line).await.unwrap();
    assert_eq!(line, "+OK\r\n");
    assert!(join_all((0..50).map(|_| get(&other, "rex"))).await.into_iter().all(|found| found.as_deref() == Some("x")));
    get(&other, "the end").await;
    let looks = async {
        let mut looks = 0;
        loop {
            line.clear();
            monitor.read_line(&mut line).await.unwrap();
            if !line.contains("\"EVALSHA\"") || !line.contains(space.prefix()) {
                continue;
            }
            if line.contains("the end") {
                return looks;
            }
            looks += 1;
        }
    };
    assert_eq!(timeout(Duration::from_secs(20), looks).await.unwrap(), 1);
}

#[tokio::test]
async fn requests_are_counted_by_tier() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (Replica::new(&space, space.config()).await, Replica::new(&space, space.config()).await);
    for _ in 0..3 {
        one.load("rex", "x").await;
    }
    other.load("rex", "y").await;
    let of = |replica: &Replica| {
        [("memory", "miss"), ("memory", "hit"), ("redis", "miss"), ("redis", "hit"), ("redis", "error")]
            .map(|(tier, outcome)| replica.requests(tier, outcome))
    };
    assert_eq!(of(&one), [1, 2, 1, 0, 0]);
    assert_eq!(of(&other), [1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn an_unreachable_redis_neither_fails_nor_slows_requests() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let replica = Replica::new(&space, hasty(&space, &proxy)).await;
    for (round, mode) in [Mode::BlackHole, Mode::Drop].into_iter().enumerate() {
        let key = |number: usize| format!("dog-{round}-{number}");
        eventually("redis is in use", async || {
            let before = replica.requests("redis", "error");
            replica.load("probe", "x").await;
            replica.requests("redis", "error") == before
        })
        .await;
        proxy.set(mode);
        let began = Instant::now();
        assert_eq!(replica.load(&key(0), "loaded").await, "loaded");
        assert!(began.elapsed() < Duration::from_secs(5), "{mode:?}: one command waits: {:?}", began.elapsed());
        eventually("the loss is noticed", async || {
            let began = Instant::now();
            replica.load(&key(1), "loaded").await;
            began.elapsed() < Duration::from_millis(100)
        })
        .await;
        let (began, errors) = (Instant::now(), replica.requests("redis", "error"));
        for number in 2..1_002 {
            assert_eq!(replica.load(&key(number), "loaded").await, "loaded");
        }
        // One that waited would take 300 ms, and all of them five minutes.
        assert!(began.elapsed() < Duration::from_secs(10), "{mode:?}: {:?}", began.elapsed());
        assert_eq!(replica.requests("redis", "error") - errors, 1_000, "{mode:?}: counted in the metrics");
        proxy.set(Mode::Pass);
    }
    eventually("redis is in use again", async || {
        replica.load("back", "x").await;
        replica.requests("memory", "hit") > 0
    })
    .await;
}

#[tokio::test]
async fn memory_is_empty_while_change_messages_can_be_lost() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let config = hasty(&space, &proxy);
    let redis = RedisTuning { heartbeat: Duration::from_millis(20), ..config.redis };
    let beating = CacheConfig { redis, ..config };
    let (one, other) = (tiered(&space, space.config()).await, tiered(&space, beating).await);
    for mode in [Mode::Drop, Mode::BlackHole] {
        set(&one, "rex", "old").await;
        eventually("it is in memory", async || matches!(other.lookup("rex").await, Ok(Lookup::Hit { depth: 0, .. })))
            .await;
        proxy.set(mode);
        // Without requests, the closed connection or a heartbeat reveals it.
        eventually("memory is left", async || other.lookup("rex").await.is_err()).await;
        set(&one, "rex", "new").await;
        proxy.set(Mode::Pass);
        eventually("redis is connected", async || other.ping().await.is_ok()).await;
        assert_eq!(get(&other, "rex").await.as_deref(), Some("new"), "{mode:?}");
    }
}

#[tokio::test]
async fn failed_removals_run_after_reconnecting() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let (cut_off, other) = (tiered(&space, hasty(&space, &proxy)).await, tiered(&space, space.config()).await);
    for key in ["rex", "bello", "stays"] {
        set(&other, key, "old").await;
    }
    let load = lease(&other, "loading").await;
    proxy.set(Mode::BlackHole);
    for key in ["rex", "bello", "loading"] {
        cut_off.remove(key).await.unwrap_err();
    }
    assert_eq!(get(&other, "rex").await.as_deref(), Some("old"));
    proxy.set(Mode::Pass);
    eventually("redis is connected", async || cut_off.ping().await.is_ok()).await;
    // The change messages arrive before the response to this.
    other.ping().await.unwrap();
    for key in ["rex", "bello"] {
        assert_eq!(get(&other, key).await, None, "{key}");
    }
    assert_eq!(get(&other, "stays").await.as_deref(), Some("old"));
    assert!(!fill(&other, "loading", "old", &load).await, "leases are removed as well");
}

#[tokio::test]
async fn too_many_failed_removals_remove_everything() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let (cut_off, other) = (tiered(&space, hasty(&space, &proxy)).await, tiered(&space, space.config()).await);
    set(&other, "rex", "old").await;
    eventually("it is in memory", async || {
        get(&other, "rex").await.unwrap();
        depth(&other, "rex").await == Some(0)
    })
    .await;
    proxy.set(Mode::Drop);
    eventually("redis is disconnected", async || cut_off.ping().await.is_err()).await;
    for number in 0..10_001 {
        cut_off.remove(&number.to_string()).await.unwrap_err();
    }
    proxy.set(Mode::Pass);
    eventually("redis is connected", async || cut_off.ping().await.is_ok()).await;
    other.ping().await.unwrap();
    assert_eq!(get(&other, "rex").await, None);
}

#[tokio::test]
async fn starts_without_redis_and_connects_later() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    for mode in [Mode::Drop, Mode::BlackHole] {
        proxy.set(mode);
        let config = hasty(&space, &proxy);
        let connected = timeout(Duration::from_secs(10), connect(&config, space.prefix())).await.unwrap().unwrap();
        assert_eq!(connected.tier, Tier::Redis);
        connected.cache.ping().await.unwrap_err();
        proxy.set(Mode::Pass);
        eventually("redis is found", async || connected.cache.ping().await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_redis_that_refuses_is_a_configuration_error() {
    let Some(space) = Space::new() else { return };
    let config = CacheConfig { redis_db: 100_000, redis_password: Some("hunter2".into()), ..space.config() };
    let refused = connect(&config, space.prefix()).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused:?}");
    assert!(!format!("{refused:?} {config:?}").contains("hunter2"));
}

#[tokio::test]
async fn databases_are_separate() {
    let Some(space) = Space::new() else { return };
    let (zero, one) =
        (tiered(&space, space.config()).await, tiered(&space, CacheConfig { redis_db: 1, ..space.config() }).await);
    one.set("rex", Bytes::from_static(b"one"), Duration::from_secs(5)).await.unwrap();
    assert_eq!(get(&zero, "rex").await, None);
    assert_eq!(get(&one, "rex").await.as_deref(), Some("one"));
    one.remove("rex").await.unwrap();
}

#[tokio::test]
async fn counters_are_shared_by_processes() {
    let Some(space) = Space::new() else { return };
    let (one, other) = (tiered(&space, space.config()).await, tiered(&space, space.config()).await);
    let count = async |cache: &TieredCache| {
        join_all((0..50).map(async |_| cache.increment("quota", 1, LONG).await.unwrap())).await
    };
    let (mut all, rest) = tokio::join!(count(&one), count(&other));
    all.extend(rest);
    all.sort_unstable();
    assert_eq!(all, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_counter_fails_at_once_while_redis_is_unreachable() {
    let Some(space) = Space::new() else { return };
    let proxy = proxy(&space).await;
    let cache = tiered(&space, hasty(&space, &proxy)).await;
    assert_eq!(cache.increment("quota", 1, LONG).await.unwrap(), 1);
    proxy.set(Mode::Drop);
    eventually("the connection is lost", async || cache.ping().await.is_err()).await;
    let started = Instant::now();
    cache.increment("quota", 1, LONG).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    proxy.set(Mode::Pass);
    eventually("redis is back", async || cache.ping().await.is_ok()).await;
    assert_eq!(cache.increment("quota", 1, LONG).await.unwrap(), 2, "nothing was counted meanwhile");
}
