//! Loads: of all replicas one asks the source.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use kennel_cache::Policy;
use kennel_testkit::Mode;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::{LONG, Replica, eventually, hasty, lease, proxy, tiered};
use crate::support::Space;

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
