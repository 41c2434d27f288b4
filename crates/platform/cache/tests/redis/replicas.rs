//! What the processes that share a Redis see of each other.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::poll;
use kennel_cache::CacheConfig;
use kennel_cache::redis::RedisCache;
use kennel_cache::tiered::TieredCache;
use kennel_core::Cache as _;
use kennel_core::cache::Lease;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fixture::{LONG, Replica, depth, eventually, fill, get, lease, set, tiered};
use crate::support::Space;

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
