//! ClickHouse as a database: one order of writes for all processes, few parts, outages and migrations.

#![cfg(feature = "clickhouse")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use kennel_core::{Event, Outbox as _, RepoError, Timestamp};
use kennel_storage::clickhouse::{
    ClickHouse, ClickHouseConfig, ClickHouseMigrator, ClickHouseOutbox, EVENTS, Kind, Place, Range,
};
use kennel_storage::{Connections, Database as _, MigrateError, Migration, Migrator as _, PoolConfig, State};
use kennel_testkit::{FaultProxy, Mode, TestClickHouse};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const LONG: Duration = Duration::from_mins(1);
const COUNTER: Kind = Kind { name: "counter", columns: "attempts" };
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
        data: "{}".into(),
        trace: None,
    }
}

/// Another process on the database.
async fn opened(home: &TestClickHouse) -> ClickHouse {
    ClickHouse::open(&ClickHouseConfig::at(home.dsn().as_str())).await.unwrap()
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
    count(database, "records WHERE what = 'commit'").await
}

/// Counts up, and answers what it counted to.
async fn add(database: &ClickHouse, place: Place) -> Result<u32, RepoError> {
    database
        .write(vec![place.clone()], move |write| {
            let attempts = write.get::<Row>(&place)?.map_or(0, |row| row.attempts) + 1;
            write.put(&place, &Row { attempts })?;
            Ok(attempts)
        })
        .await
}

fn unavailable<T>(result: &Result<T, RepoError>) -> bool {
    matches!(result, Err(RepoError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_many_processes_are_in_one_order() {
    let Some(home) = TestClickHouse::make() else { return };
    let replicas = [migrated(&home).await, opened(&home).await, opened(&home).await];
    let calls = (0..60).map(|number| add(&replicas[number % 3], COUNTER.at("shared")));
    let mut counted: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    counted.sort_unstable();
    assert_eq!(counted, (1..=60).collect::<Vec<_>>(), "each saw what the one before it left");
    let numbers = "(SELECT DISTINCT version FROM records WHERE what = 'commit')";
    assert_eq!(count(&replicas[0], numbers).await, commits(&replicas[0]).await, "no number is used twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writes_that_expect_one_value_one_wins_in_whatever_process() {
    let Some(home) = TestClickHouse::make() else { return };
    let replicas = [migrated(&home).await, opened(&home).await, opened(&home).await, opened(&home).await];
    for round in 0..5 {
        let calls = replicas.iter().map(|replica| {
            let place = COUNTER.at("shared");
            replica.write(vec![place.clone()], move |write| {
                let there = write.get::<Row>(&place)?.map_or(0, |row| row.attempts);
                if there == round {
                    write.put(&place, &Row { attempts: round + 1 })?;
                }
                Ok(there == round)
            })
        });
        let won = join_all(calls).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_once_share_their_parts() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    database.execute("SYSTEM STOP MERGES records").await.unwrap();
    let results = join_all((0..300).map(|number| add(&database, COUNTER.at(number.to_string())))).await;
    assert!(results.iter().all(|result| matches!(result, Ok(1))));
    let commits = commits(&database).await;
    assert!(commits <= 10, "{commits} commits");
    let parts = count(&database, "system.parts WHERE database = currentDatabase() AND table = 'records'").await;
    assert_eq!(parts, commits, "one part for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_refused_harms_no_other() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    let decided = database.write(Vec::new(), |write| {
        write.put(&COUNTER.at("refused"), &Row { attempts: 1 })?;
        Err::<(), _>(RepoError::Conflict)
    });
    let damaged = database.write(Vec::new(), |write| {
        write.put(&COUNTER.at("damaged"), &serde_json::json!({ "attempts": { "no": "number" } }))
    });
    // Of a place that no other asks for either: they may share a commit.
    let unread = database.write(Vec::new(), |write| write.get::<Row>(&COUNTER.at("unread")).map(drop));
    let (first, decided, damaged, unread, last) =
        tokio::join!(add(&database, COUNTER.at("a")), decided, damaged, unread, add(&database, COUNTER.at("a")),);
    assert!(matches!(decided, Err(RepoError::Conflict)), "{decided:?}");
    assert!(matches!(damaged, Err(RepoError::Backend(_))), "{damaged:?}");
    assert!(matches!(unread, Err(RepoError::Backend(_))), "{unread:?}");
    assert_eq!((first.unwrap(), last.unwrap()), (1, 2));
    let there = database.find(&["a", "refused", "damaged"].map(|key| COUNTER.at(key))).await.unwrap();
    assert_eq!(there.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_stored_once() {
    let Some(home) = TestClickHouse::make() else { return };
    let here = migrated(&home).await;
    let proxy = FaultProxy::new(home.server()).await;
    let config = ClickHouseConfig::at(home.dsn_by(proxy.address()).as_str());
    let database = ClickHouse::open(&config).await.unwrap();
    add(&database, COUNTER.at("warm")).await.unwrap();
    let outbox = ClickHouseOutbox::new(here.clone());
    for number in 0..5 {
        // Requests get through; their answers do not.
        proxy.set(Mode::CutAfter(10));
        let write = async { database.write(Vec::new(), move |write| write.append(&[event(number)])).await };
        let mend = async {
            sleep(Duration::from_millis(60)).await;
            proxy.set(Mode::Pass);
        };
        let (result, ()) = tokio::join!(write, mend);
        if unavailable(&result) {
            // It is open whether it came through; the same write again is another one, so no more is asked of it.
            continue;
        }
        result.unwrap();
        let told = outbox.pending(99).await.unwrap();
        assert_eq!(told.iter().filter(|told| told.id == Uuid::from_u128(number)).count(), 1);
    }
    let mut ids: Vec<_> = outbox.pending(99).await.unwrap().into_iter().map(|event| event.id).collect();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "none is stored twice");
    add(&database, COUNTER.at("warm")).await.unwrap();
}

/// Limits so short that a test can wait for them.
fn short() -> PoolConfig {
    PoolConfig {
        acquire_timeout_ms: 500,
        statement_timeout_ms: 1_000,
        max_connections: NonZeroU32::MIN.saturating_add(2),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_unavailable_until_it_is_back() {
    let Some(home) = TestClickHouse::make() else { return };
    migrated(&home).await.close().await;
    let proxy = FaultProxy::new(home.server()).await;
    let config = ClickHouseConfig { pool: short(), ..ClickHouseConfig::at(home.dsn_by(proxy.address()).as_str()) };
    let database = ClickHouse::open(&config).await.unwrap();
    for mode in [Mode::Drop, Mode::BlackHole] {
        proxy.set(mode);
        let began = Instant::now();
        assert!(unavailable(&database.ping().await), "{mode:?}");
        assert!(unavailable(&add(&database, COUNTER.at("a")).await), "{mode:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{mode:?}: {:?}", began.elapsed());
        proxy.set(Mode::Pass);
        let back = async {
            while add(&database, COUNTER.at("a")).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, back).await.unwrap();
        database.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_limited_and_counted() {
    let Some(home) = TestClickHouse::make() else { return };
    let proxy = FaultProxy::new(home.server()).await;
    let config = ClickHouseConfig { pool: short(), ..ClickHouseConfig::at(home.dsn_by(proxy.address()).as_str()) };
    let database = ClickHouse::open(&config).await.unwrap();
    assert_eq!(database.connections(), Connections::default());
    proxy.set(Mode::BlackHole);
    let calls = async { join_all((0..4).map(|_| database.ping())).await };
    let look = async {
        while database.connections().used < 3 {
            tokio::task::yield_now().await;
        }
    };
    let (results, ()) = tokio::join!(calls, look);
    assert!(results.iter().all(unavailable), "{results:?}");
    assert_eq!(database.connections(), Connections::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_database_is_unavailable_once_its_work_is_done() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    let mut last = Box::pin(add(&database, COUNTER.at("a")));
    assert!(futures_util::poll!(&mut last).is_pending());
    database.close().await;
    assert_eq!(last.await.unwrap(), 1);
    assert!(unavailable(&database.ping().await));
    assert!(unavailable(&add(&database, COUNTER.at("a")).await));
}

#[tokio::test]
async fn passwords_are_never_shown() {
    let Some(home) = TestClickHouse::make() else { return };
    let config = ClickHouseConfig::at(format!("http://kennel:hunter2@{}/default", home.server()).as_str());
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
async fn a_scan_comes_past_what_is_deleted() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    let places: Vec<_> = (0..500).map(|number| COUNTER.at(format!("{number:03}"))).collect();
    let all = places.clone();
    let put = move |write: &mut kennel_storage::clickhouse::Write<'_>| {
        all.iter().try_for_each(|place| write.put(place, &Row { attempts: 1 }))
    };
    database.write(Vec::new(), put).await.unwrap();
    let dead = places[1..499].to_vec();
    let remove = move |write: &mut kennel_storage::clickhouse::Write<'_>| {
        for place in &dead {
            write.remove(place);
        }
        Ok(())
    };
    database.write(Vec::new(), remove).await.unwrap();
    for (descending, keys) in [(false, ["000", "499"]), (true, ["499", "000"])] {
        let range = Range { kind: COUNTER, above: String::new(), below: None, descending };
        for limit in [1, 2, 3] {
            let found = database.scan(&range, limit).await.unwrap();
            let found: Vec<_> = found.iter().map(|found| found.key.as_str()).collect();
            assert_eq!(found, keys[..limit.min(2)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_leaves_no_trace_of_events_that_are_published() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    let outbox = ClickHouseOutbox::new(database.clone());
    let told: Vec<_> = (0..50).map(event).collect();
    let ids: Vec<_> = told.iter().map(|event| event.id).collect();
    let waits = event(99);
    let events: Vec<_> = told.iter().chain([&waits]).cloned().collect();
    database.write(Vec::new(), move |write| write.append(&events)).await.unwrap();
    outbox.mark_published(&ids, now()).await.unwrap();
    let later = now().saturating_add(Duration::from_millis(1));
    // Another process, which knows nothing of what came before.
    let other = ClickHouseOutbox::new(opened(&home).await);
    assert_eq!(other.purge(later, 1).await.unwrap(), 50, "whole files, whatever the limit");
    assert_eq!(other.purge(later, 1).await.unwrap(), 0);
    assert_eq!(count(&database, "records WHERE what = 'published'").await, 0);
    assert_eq!(outbox.pending(99).await.unwrap(), std::slice::from_ref(&waits));
    outbox.mark_published(&[waits.id], now()).await.unwrap();
    database.write(Vec::new(), |write| write.append(&[event(100)])).await.unwrap();
    assert_eq!(other.purge(later, 1).await.unwrap(), 1);
    assert_eq!(other.purge(later, 1).await.unwrap(), 0);
    assert_eq!(count(&database, "records WHERE what = 'event'").await, 1);
    assert_eq!(outbox.pending(99).await.unwrap(), [event(100)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_go_up_down_and_up() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = opened(&home).await;
    let migrator = migrator(&database, &[EVENTS, TABLE]);
    let states = async || -> Vec<_> { migrator.status().await.unwrap().into_iter().map(|step| step.state).collect() };
    let tables = "system.tables WHERE database = currentDatabase()";
    assert_eq!(states().await, [State::Pending; 2]);
    assert_eq!(count(&database, tables).await, 0, "a look changes nothing");
    let up = migrator.up(now()).await.unwrap();
    assert_eq!(up.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["0001_events", "0002_table"]);
    assert_eq!(states().await, [State::Applied { at: now() }; 2]);
    assert_eq!(migrator.up(now()).await.unwrap(), []);
    add(&database, COUNTER.at("a")).await.unwrap();

    assert_eq!(migrator.down(1).await.unwrap()[0].version, 2);
    assert_eq!(states().await, [State::Applied { at: now() }, State::Pending]);
    assert_eq!(migrator.down(9).await.unwrap()[0].version, 1);
    let left = format!("{tables} AND name NOT LIKE 'schema_%'");
    assert_eq!(count(&database, &left).await, 0, "down removes all that up made");
    assert_eq!(migrator.down(1).await.unwrap(), []);
    assert_eq!(migrator.up(now()).await.unwrap().len(), 2);
    assert_eq!(add(&database, COUNTER.at("a")).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_migrate_at_once_each_step_is_applied_once() {
    let Some(home) = TestClickHouse::make() else { return };
    let replicas = join_all((0..5).map(|_| opened(&home))).await;
    let done = join_all(
        replicas.iter().map(|replica| async { migrator(replica, &[EVENTS, TABLE]).up(now()).await.unwrap().len() }),
    )
    .await;
    assert_eq!(done.iter().sum::<usize>(), 2, "{done:?}");
    for (replica, number) in replicas.iter().zip(1..) {
        assert_eq!(add(replica, COUNTER.at("a")).await.unwrap(), number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_its_holder_left_runs_out() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = migrated(&home).await;
    let dead = "INSERT INTO schema_lock VALUES (1000, 'dead', toUnixTimestamp64Milli(now64(3)) + 2000)";
    database.execute(dead).await.unwrap();
    let began = Instant::now();
    assert_eq!(migrator(&database, &[EVENTS, TABLE]).up(now()).await.unwrap().len(), 1);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn migrations_that_do_not_fit_are_refused() {
    let Some(home) = TestClickHouse::make() else { return };
    let database = opened(&home).await;
    migrator(&database, &[EVENTS, TABLE]).up(now()).await.unwrap();
    let changed = migrator(&database, &[EVENTS, Migration { up: "SELECT 1;", ..TABLE }]);
    let result = changed.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Changed { version: 2, .. })), "{result:?}");
    assert!(matches!(changed.down(1).await, Err(MigrateError::Changed { .. })));
    assert_eq!(changed.status().await.unwrap()[1].state, State::Changed);
    let older = migrator(&database, &[EVENTS]);
    let result = older.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Unknown { version: 2, .. })), "{result:?}");
    assert_eq!(older.status().await.unwrap()[1].state, State::Unknown);
}

#[tokio::test]
async fn a_failed_migration_stays_pending_and_can_be_repeated() {
    const BROKEN: Migration = Migration {
        up: "CREATE TABLE IF NOT EXISTS half (n Int64) ENGINE = MergeTree ORDER BY n;
             CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n;",
        ..HALF
    };
    let Some(home) = TestClickHouse::make() else { return };
    let database = opened(&home).await;
    let result = migrator(&database, &[EVENTS, TABLE, BROKEN]).up(now()).await;
    assert!(matches!(result, Err(MigrateError::Step { version: 3, .. })), "{result:?}");
    let mended = migrator(&database, &[EVENTS, TABLE, HALF]);
    let applied = State::Applied { at: now() };
    let states: Vec<_> = mended.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [applied, applied, State::Pending]);
    assert_eq!(mended.up(now()).await.unwrap().len(), 1);
}
