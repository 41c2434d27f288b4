//! The memory tier in front of Redis.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kennel_cache::tiered::TieredCache;
use kennel_cache::{CacheConfig, RedisTuning};
use kennel_core::Cache as _;
use kennel_core::cache::Lookup;
use kennel_testkit::Mode;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::fixture::{Replica, depth, eventually, get, hasty, proxy, set, tiered};
use crate::support::Space;

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
