//! Limits, outages and secrets.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use kennel_config::HumanDuration;
use kennel_core::RepoError;
use kennel_storage::{Connections, StorageConfig};
use kennel_testkit::{FaultProxy, Mode, TestDatabase};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Pause, Server, opened};

const LONG: Duration = Duration::from_mins(1);

fn unavailable<T>(result: &Result<T, RepoError>) -> bool {
    matches!(result, Err(RepoError::Unavailable(_)))
}

/// Timeouts that are short enough for a test.
fn short() -> StorageConfig {
    StorageConfig {
        database_acquire_timeout: HumanDuration::from_millis(2_000),
        database_statement_timeout: HumanDuration::from_millis(1_000),
        database_max_connections: NonZeroU32::MIN.saturating_add(2),
        ..StorageConfig::default()
    }
}

/// A migrated database, reached through a proxy.
async fn through_proxy<S: Server>(home: &TestDatabase) -> (S, FaultProxy) {
    opened::<S>(home).await.database().close().await;
    let proxy = FaultProxy::new(home.server()).await;
    (S::open(home.dsn_by(proxy.address()), short()).await.unwrap(), proxy)
}

async fn recovers<S: Server>(server: &S) {
    let answers = async {
        while server.put(1, 1).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, answers).await.unwrap();
    server.database().ping().await.unwrap();
}

pub(crate) async fn connections_are_limited_and_counted<S: Server>(home: &TestDatabase) {
    opened::<S>(home).await.database().close().await;
    let server = S::open(home.dsn(), short()).await.unwrap();
    let acquired = [server.begin().await.unwrap(), server.begin().await.unwrap(), server.begin().await.unwrap()];
    assert_eq!(server.database().connections(), Connections { idle: 0, used: 3 });
    assert!(unavailable(&server.begin().await));
    assert!(unavailable(&server.database().ping().await));
    drop(acquired);
    server.database().ping().await.unwrap();
}

pub(crate) async fn a_lock_wait_that_is_too_long_is_unavailable<S: Server>(home: &TestDatabase) {
    let holder = opened::<S>(home).await;
    holder.put(1, 1).await.unwrap();
    let mut write = holder.begin().await.unwrap();
    S::add(&mut write, 1, 1).await.unwrap();
    let waiter = S::open(home.dsn(), short()).await.unwrap();
    let result = timeout(LONG, waiter.put(1, 1)).await.unwrap();
    assert!(unavailable(&result), "{result:?}");
    S::commit(write).await.unwrap();
    waiter.put(1, 1).await.unwrap();
    assert_eq!(waiter.get(1).await.unwrap(), 3);
}

pub(crate) async fn an_unreachable_server_is_unavailable_until_it_returns<S: Server>(home: &TestDatabase) {
    let (server, proxy) = through_proxy::<S>(home).await;
    server.put(1, 1).await.unwrap();
    let mut write = server.begin().await.unwrap();
    S::add(&mut write, 2, 1).await.unwrap();
    proxy.set(Mode::Drop);
    let results = [S::commit(write).await, server.put(1, 1).await, server.database().ping().await];
    assert!(results.iter().all(unavailable), "{results:?}");
    proxy.set(Mode::Pass);
    recovers(&server).await;
}

pub(crate) async fn a_server_that_does_not_respond_is_unavailable_until_it_does<S: Server>(home: &TestDatabase) {
    let (server, proxy) = through_proxy::<S>(home).await;
    server.put(1, 1).await.unwrap();
    proxy.set(Mode::BlackHole);
    let started = Instant::now();
    let database = server.database();
    let calls = (server.put(1, 1), server.put(2, 1), server.put(3, 1), database.ping());
    let results = tokio::join!(calls.0, calls.1, calls.2, calls.3);
    let results = [results.0, results.1, results.2, results.3];
    assert!(results.iter().all(unavailable), "{results:?}");
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    proxy.set(Mode::Pass);
    recovers(&server).await;
}

pub(crate) async fn a_closed_database_is_unavailable<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    server.database().ping().await.unwrap();
    server.database().close().await;
    assert!(unavailable(&server.database().ping().await));
    assert!(unavailable(&server.put(1, 1).await));
    assert_eq!(server.database().connections(), Connections::default());
}

pub(crate) async fn a_missing_server_is_unavailable<S: Server>(home: &TestDatabase) {
    let proxy = FaultProxy::new(home.server()).await;
    let dsn = home.dsn_by(proxy.address());
    drop(proxy);
    let result = timeout(LONG, S::open(dsn, short())).await.unwrap();
    assert!(unavailable(&result.map(drop)));
}

pub(crate) async fn passwords_are_never_printed<S: Server>(home: &TestDatabase) {
    let dsn = home.dsn().replace("kennel:kennel@", "kennel:hunter2@");
    let mut printed = Vec::new();
    let refused = S::open(dsn.clone(), short()).await.map(drop).unwrap_err();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&refused);
    while let Some(error) = cause {
        printed.push(format!("{error} {error:?}"));
        cause = error.source();
    }
    let open = opened::<S>(home).await;
    printed.push(S::debug_text(&open));
    for text in printed {
        assert!(!text.contains("hunter2") && !text.contains("kennel:kennel"), "{text}");
    }
}

/// Blocks the first two calls until both are in the middle of their transactions.
struct Rendezvous(Barrier, std::sync::atomic::AtomicU32);

#[async_trait::async_trait]
impl Pause for Rendezvous {
    async fn pause(&self) {
        if self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
            self.0.wait().await;
        }
    }
}

pub(crate) async fn calls_in_a_deadlock_all_succeed<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    server.put(1, 0).await.unwrap();
    server.put(2, 0).await.unwrap();
    let rendezvous = Rendezvous(Barrier::new(2), 0.into());
    let both = tokio::join!(server.add_two(1, 2, &rendezvous), server.add_two(2, 1, &rendezvous));
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!((server.get(1).await.unwrap(), server.get(2).await.unwrap()), (2, 2));
    assert!(rendezvous.1.into_inner() > 2, "one of the two was retried");
}

/// With the drivers alone, the next statements would be in that transaction, and lost with it.
pub(crate) async fn a_call_that_is_cancelled_while_its_transaction_begins_leaves_none<S: Server>(home: &TestDatabase) {
    let reader = opened::<S>(home).await;
    let one = StorageConfig { database_max_connections: NonZeroU32::MIN, ..StorageConfig::default() };
    let server = S::open(home.dsn(), one).await.unwrap();
    for polls in 0..40 {
        let mut call = Box::pin(server.begin_only());
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
            sleep(Duration::from_micros(20)).await;
        }
        drop(call);
        server.put_alone(polls, 1).await.unwrap();
        let committed = reader.get(polls).await;
        assert!(matches!(committed, Ok(1)), "after {polls} polls: {committed:?}");
    }
    server.database().close().await;
}

pub(crate) async fn a_dropped_call_leaves_the_connection_usable<S: Server>(home: &TestDatabase) {
    opened::<S>(home).await.put(1, 0).await.unwrap();
    let one = StorageConfig { database_max_connections: NonZeroU32::MIN, ..StorageConfig::default() };
    let server = S::open(home.dsn(), one).await.unwrap();
    for polls in 0..40 {
        let mut call = Box::pin(server.put(1, 1));
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
            sleep(Duration::from_micros(50)).await;
        }
    }
    let before = server.get(1).await.unwrap();
    server.put(1, 1).await.unwrap();
    assert_eq!(server.get(1).await.unwrap(), before + 1);
}
