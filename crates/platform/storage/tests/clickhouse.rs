//! ClickHouse as a database: one order of writes across processes, few data parts, outages and migrations.

#![cfg(feature = "clickhouse")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use kennel_config::HumanDuration;
use kennel_core::{Event, Outbox as _, RepoError, Timestamp};
use kennel_storage::clickhouse::{
    ClickHouse, ClickHouseMigrator, ClickHouseOutbox, EVENTS, KeyRange, RecordKey, RecordKind,
};
use kennel_storage::{Connections, Driver as _, MigrateError, Migration, MigrationState, Migrator as _, StorageConfig};
use kennel_testkit::{FaultProxy, Mode, TestClickHouse};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const LONG: Duration = Duration::from_mins(1);
const COUNTER: RecordKind = RecordKind { name: "counter", columns: "attempts" };
const TABLE: Migration = Migration {
    version: 2,
    name: "0002_table",
    up: "CREATE TABLE IF NOT EXISTS t (n Int64) ENGINE = MergeTree ORDER BY n;",
    down: "DROP TABLE IF EXISTS t SYNC;",
};
const HALF: Migration = Migration {
    version: 3,
    name: "0003_half",
    up: "CREATE TABLE IF NOT EXISTS half (n Int64) ENGINE = MergeTree ORDER BY n;",
    down: "DROP TABLE IF EXISTS half;",
};

/// The row of a counter.
#[derive(Serialize, Deserialize)]
struct Row {
    attempts: u32,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

fn event(number: u128) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: "dogs.events".to_owned(),
        key: "k".to_owned(),
        time: now(),
        content_type: "application/json".to_owned(),
        data: "{}".into(),
        trace: None,
    }
}

/// Another process on the database.
async fn opened(home: &TestClickHouse) -> ClickHouse {
    ClickHouse::open(&StorageConfig::clickhouse(home.dsn().as_str())).await.unwrap()
}

async fn migrated(home: &TestClickHouse) -> ClickHouse {
    let database = opened(home).await;
    migrator(&database, &[EVENTS]).up(now()).await.unwrap();
    database
}

fn migrator(database: &ClickHouse, steps: &'static [Migration]) -> ClickHouseMigrator {
    ClickHouseMigrator::new(database.clone(), steps)
}

async fn count(database: &ClickHouse, from: &str) -> u64 {
    let counts: Vec<Count> =
        database.rows(database.query(&format!("SELECT count() AS count FROM {from}"))).await.unwrap();
    counts[0].count
}

async fn commits(database: &ClickHouse) -> u64 {
    count(database, "record_versions WHERE kind = 'commit'").await
}

/// Increments a counter, and returns its new value.
async fn add(database: &ClickHouse, key: RecordKey) -> Result<u32, RepoError> {
    database
        .write(vec![key.clone()], move |write| {
            let attempts = write.get::<Row>(&key)?.map_or(0, |row| row.attempts) + 1;
            write.put(&key, &Row { attempts })?;
            Ok(attempts)
        })
        .await
}

fn unavailable<T>(result: &Result<T, RepoError>) -> bool {
    matches!(result, Err(RepoError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_many_processes_are_in_one_order() {
    let Some(home) = TestClickHouse::create() else { return };
    let replicas = [migrated(&home).await, opened(&home).await, opened(&home).await];
    let calls = (0..60).map(|number| add(&replicas[number % 3], COUNTER.key("shared")));
    let mut counted: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    counted.sort_unstable();
    assert_eq!(counted, (1..=60).collect::<Vec<_>>(), "each write saw the result of the one before it");
    let numbers = "(SELECT DISTINCT version FROM record_versions WHERE kind = 'commit')";
    assert_eq!(count(&replicas[0], numbers).await, commits(&replicas[0]).await, "no number is used twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writes_that_expect_one_value_one_wins_in_whatever_process() {
    let Some(home) = TestClickHouse::create() else { return };
    let replicas = [migrated(&home).await, opened(&home).await, opened(&home).await, opened(&home).await];
    for round in 0..5 {
        let calls = replicas.iter().map(|replica| {
            let key = COUNTER.key("shared");
            replica.write(vec![key.clone()], move |write| {
                let stored = write.get::<Row>(&key)?.map_or(0, |row| row.attempts);
                if stored == round {
                    write.put(&key, &Row { attempts: round + 1 })?;
                }
                Ok(stored == round)
            })
        });
        let won = join_all(calls).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_share_data_parts() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    database.execute("SYSTEM STOP MERGES record_versions").await.unwrap();
    let results = join_all((0..300).map(|number| add(&database, COUNTER.key(number.to_string())))).await;
    assert!(results.iter().all(|result| matches!(result, Ok(1))));
    let commits = commits(&database).await;
    assert!(commits <= 10, "{commits} commits");
    let parts = count(&database, "system.parts WHERE database = currentDatabase() AND table = 'record_versions'").await;
    assert_eq!(parts, commits, "one data part per commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_write_does_not_affect_others() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    let rejected = database.write(Vec::new(), |write| {
        write.put(&COUNTER.key("refused"), &Row { attempts: 1 })?;
        Err::<(), _>(RepoError::Conflict)
    });
    let damaged = database.write(Vec::new(), |write| {
        write.put(&COUNTER.key("damaged"), &serde_json::json!({ "attempts": { "no": "number" } }))
    });
    // A key that no other write requests either, because they can share a commit.
    let unread = database.write(Vec::new(), |write| write.get::<Row>(&COUNTER.key("unread")).map(drop));
    let (first, rejected, damaged, unread, last) =
        tokio::join!(add(&database, COUNTER.key("a")), rejected, damaged, unread, add(&database, COUNTER.key("a")),);
    assert!(matches!(rejected, Err(RepoError::Conflict)), "{rejected:?}");
    assert!(matches!(damaged, Err(RepoError::Backend(_))), "{damaged:?}");
    assert!(matches!(unread, Err(RepoError::Backend(_))), "{unread:?}");
    assert_eq!((first.unwrap(), last.unwrap()), (1, 2));
    let stored = database.find(&["a", "refused", "damaged"].map(|key| COUNTER.key(key))).await.unwrap();
    assert_eq!(stored.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_response_is_lost_is_stored_once() {
    let Some(home) = TestClickHouse::create() else { return };
    let here = migrated(&home).await;
    let proxy = FaultProxy::new(home.server()).await;
    let config = StorageConfig::clickhouse(home.dsn_by(proxy.address()).as_str());
    let database = ClickHouse::open(&config).await.unwrap();
    add(&database, COUNTER.key("warm")).await.unwrap();
    let outbox = ClickHouseOutbox::new(here.clone());
    for number in 0..5 {
        // Requests reach the server; its responses are lost.
        proxy.set(Mode::CutAfter(10));
        let write = async { database.write(Vec::new(), move |write| write.append(&[event(number)])).await };
        let restore = async {
            sleep(Duration::from_millis(60)).await;
            proxy.set(Mode::Pass);
        };
        let (result, ()) = tokio::join!(write, restore);
        if unavailable(&result) {
            // It is unknown whether the write was committed.
            continue;
        }
        result.unwrap();
        let pending = outbox.pending(99).await.unwrap();
        assert_eq!(pending.iter().filter(|event| event.id == Uuid::from_u128(number)).count(), 1);
    }
    let mut ids: Vec<_> = outbox.pending(99).await.unwrap().into_iter().map(|event| event.id).collect();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "none is stored twice");
    add(&database, COUNTER.key("warm")).await.unwrap();
}

/// Timeouts that are short enough for a test.
fn short() -> StorageConfig {
    StorageConfig {
        database_acquire_timeout: HumanDuration::from_millis(500),
        database_statement_timeout: HumanDuration::from_millis(1_000),
        database_max_connections: NonZeroU32::MIN.saturating_add(2),
        ..StorageConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_server_is_unavailable_until_it_returns() {
    let Some(home) = TestClickHouse::create() else { return };
    migrated(&home).await.close().await;
    let proxy = FaultProxy::new(home.server()).await;
    let config = StorageConfig { clickhouse_dsn: Some(home.dsn_by(proxy.address()).into()), ..short() };
    let database = ClickHouse::open(&config).await.unwrap();
    for mode in [Mode::Drop, Mode::BlackHole] {
        proxy.set(mode);
        let started = Instant::now();
        assert!(unavailable(&database.ping().await), "{mode:?}");
        assert!(unavailable(&add(&database, COUNTER.key("a")).await), "{mode:?}");
        assert!(started.elapsed() < Duration::from_secs(15), "{mode:?}: {:?}", started.elapsed());
        proxy.set(Mode::Pass);
        let back = async {
            while add(&database, COUNTER.key("a")).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, back).await.unwrap();
        database.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_limited_and_counted() {
    let Some(home) = TestClickHouse::create() else { return };
    let proxy = FaultProxy::new(home.server()).await;
    let config = StorageConfig { clickhouse_dsn: Some(home.dsn_by(proxy.address()).into()), ..short() };
    let database = ClickHouse::open(&config).await.unwrap();
    assert_eq!(database.connections(), Connections::default());
    proxy.set(Mode::BlackHole);
    let calls = async { join_all((0..4).map(|_| database.ping())).await };
    let observe = async {
        while database.connections().used < 3 {
            tokio::task::yield_now().await;
        }
    };
    let (results, ()) = tokio::join!(calls, observe);
    assert!(results.iter().all(unavailable), "{results:?}");
    assert_eq!(database.connections(), Connections::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_database_is_unavailable_after_its_last_write() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    let mut last = Box::pin(add(&database, COUNTER.key("a")));
    assert!(futures_util::poll!(&mut last).is_pending());
    database.close().await;
    assert_eq!(last.await.unwrap(), 1);
    assert!(unavailable(&database.ping().await));
    assert!(unavailable(&add(&database, COUNTER.key("a")).await));
}

#[tokio::test]
async fn passwords_are_never_printed() {
    let Some(home) = TestClickHouse::create() else { return };
    let config = StorageConfig::clickhouse(format!("http://kennel:hunter2@{}/default", home.server()).as_str());
    let error = ClickHouse::open(&config).await.unwrap_err();
    let mut shown = format!("{config:?} {error:?} {}", serde_json::to_string(&config).unwrap());
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        shown.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!format!("{:?}", opened(&home).await).contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_skips_deleted_records() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    let keys: Vec<_> = (0..500).map(|number| COUNTER.key(format!("{number:03}"))).collect();
    let all = keys.clone();
    let put = move |write: &mut kennel_storage::clickhouse::Write<'_>| {
        all.iter().try_for_each(|key| write.put(key, &Row { attempts: 1 }))
    };
    database.write(Vec::new(), put).await.unwrap();
    let removed = keys[1..499].to_vec();
    let remove = move |write: &mut kennel_storage::clickhouse::Write<'_>| {
        for key in &removed {
            write.remove(key);
        }
        Ok(())
    };
    database.write(Vec::new(), remove).await.unwrap();
    for (descending, expected) in [(false, ["000", "499"]), (true, ["499", "000"])] {
        let range = KeyRange { kind: COUNTER, above: String::new(), below: None, descending };
        for limit in [1, 2, 3] {
            let found = database.scan(&range, limit).await.unwrap();
            let found: Vec<_> = found.iter().map(|found| found.key.as_str()).collect();
            assert_eq!(found, expected[..limit.min(2)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_removes_all_rows_of_published_events() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    let outbox = ClickHouseOutbox::new(database.clone());
    let published: Vec<_> = (0..50).map(event).collect();
    let ids: Vec<_> = published.iter().map(|event| event.id).collect();
    let pending = event(99);
    let events: Vec<_> = published.iter().chain([&pending]).cloned().collect();
    database.write(Vec::new(), move |write| write.append(&events)).await.unwrap();
    outbox.mark_published(&ids, now()).await.unwrap();
    let later = now().saturating_add(Duration::from_millis(1));
    // Simulates another process without state.
    let other = ClickHouseOutbox::new(opened(&home).await);
    assert_eq!(other.purge(later, 1).await.unwrap(), 50, "all rows, independent of the limit");
    assert_eq!(other.purge(later, 1).await.unwrap(), 0);
    assert_eq!(count(&database, "record_versions WHERE kind = 'published'").await, 0);
    assert_eq!(outbox.pending(99).await.unwrap(), std::slice::from_ref(&pending));
    outbox.mark_published(&[pending.id], now()).await.unwrap();
    database.write(Vec::new(), |write| write.append(&[event(100)])).await.unwrap();
    assert_eq!(other.purge(later, 1).await.unwrap(), 1);
    assert_eq!(other.purge(later, 1).await.unwrap(), 0);
    assert_eq!(count(&database, "record_versions WHERE kind = 'event'").await, 1);
    assert_eq!(outbox.pending(99).await.unwrap(), [event(100)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_can_be_applied_reverted_and_applied_again() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = opened(&home).await;
    let migrator = migrator(&database, &[EVENTS, TABLE]);
    let states = async || -> Vec<_> { migrator.status().await.unwrap().into_iter().map(|step| step.state).collect() };
    let tables = "system.tables WHERE database = currentDatabase()";
    assert_eq!(states().await, [MigrationState::Pending; 2]);
    assert_eq!(count(&database, tables).await, 0, "status changes nothing");
    let up = migrator.up(now()).await.unwrap();
    assert_eq!(up.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["0001_events", "0002_table"]);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }; 2]);
    assert_eq!(migrator.up(now()).await.unwrap(), []);
    add(&database, COUNTER.key("a")).await.unwrap();

    assert_eq!(migrator.down(1).await.unwrap()[0].version, 2);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }, MigrationState::Pending]);
    assert_eq!(migrator.down(9).await.unwrap()[0].version, 1);
    let left = format!("{tables} AND name NOT LIKE 'schema_%'");
    assert_eq!(count(&database, &left).await, 0, "down removes everything that up created");
    assert_eq!(migrator.down(1).await.unwrap(), []);
    assert_eq!(migrator.up(now()).await.unwrap().len(), 2);
    assert_eq!(add(&database, COUNTER.key("a")).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_processes_apply_each_migration_once() {
    let Some(home) = TestClickHouse::create() else { return };
    let replicas = join_all((0..5).map(|_| opened(&home))).await;
    let done = join_all(
        replicas.iter().map(|replica| async { migrator(replica, &[EVENTS, TABLE]).up(now()).await.unwrap().len() }),
    )
    .await;
    assert_eq!(done.iter().sum::<usize>(), 2, "{done:?}");
    for (replica, number) in replicas.iter().zip(1..) {
        assert_eq!(add(replica, COUNTER.key("a")).await.unwrap(), number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_lock_expires() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = migrated(&home).await;
    let dead = "INSERT INTO schema_lock VALUES (1000, 'dead', toUnixTimestamp64Milli(now64(3)) + 2000)";
    database.execute(dead).await.unwrap();
    let started = Instant::now();
    assert_eq!(migrator(&database, &[EVENTS, TABLE]).up(now()).await.unwrap().len(), 1);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn migrations_that_do_not_match_are_rejected() {
    let Some(home) = TestClickHouse::create() else { return };
    let database = opened(&home).await;
    migrator(&database, &[EVENTS, TABLE]).up(now()).await.unwrap();
    let changed = migrator(&database, &[EVENTS, Migration { up: "SELECT 1;", ..TABLE }]);
    let result = changed.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Changed { version: 2, .. })), "{result:?}");
    assert!(matches!(changed.down(1).await, Err(MigrateError::Changed { .. })));
    assert_eq!(changed.status().await.unwrap()[1].state, MigrationState::Changed);
    let older = migrator(&database, &[EVENTS]);
    let result = older.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Unknown { version: 2, .. })), "{result:?}");
    assert_eq!(older.status().await.unwrap()[1].state, MigrationState::Unknown);
}

#[tokio::test]
async fn a_failed_migration_stays_pending_and_can_be_retried() {
    const BROKEN: Migration = Migration {
        up: "CREATE TABLE IF NOT EXISTS half (n Int64) ENGINE = MergeTree ORDER BY n;
             CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n;",
        ..HALF
    };
    let Some(home) = TestClickHouse::create() else { return };
    let database = opened(&home).await;
    let result = migrator(&database, &[EVENTS, TABLE, BROKEN]).up(now()).await;
    assert!(matches!(result, Err(MigrateError::Step { version: 3, .. })), "{result:?}");
    let repaired = migrator(&database, &[EVENTS, TABLE, HALF]);
    let applied = MigrationState::Applied { at: now() };
    let states: Vec<_> = repaired.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [applied, applied, MigrationState::Pending]);
    assert_eq!(repaired.up(now()).await.unwrap().len(), 1);
}
