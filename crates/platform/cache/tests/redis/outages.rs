//! An unreachable Redis.

use std::time::Duration;

use kennel_cache::{CacheConfig, ConnectError, Tier, connect};
use kennel_core::Cache as _;
use kennel_testkit::Mode;
use tokio::time::{Instant, timeout};

use crate::fixture::{LONG, Replica, depth, eventually, fill, get, hasty, lease, proxy, set, tiered};
use crate::support::Space;

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
