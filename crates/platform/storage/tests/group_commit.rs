//! Group commit: queued writes to SQLite share a commit, and still succeed or fail individually.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use futures_util::poll;
use kennel_core::{RepoError, Timestamp};
use kennel_storage::Migrator as _;
use kennel_storage::StorageConfig;
use kennel_storage::sqlite::{EVENTS, Sqlite, SqliteMigrator, classify};
use kennel_storage::{Driver as _, Migration};
use tokio::task::JoinSet;

const TABLE: Migration = Migration {
    version: 2,
    name: "0002_table",
    up: "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT",
    down: "DROP TABLE t",
};

async fn migrated(folder: &Path) -> Sqlite {
    let database = Sqlite::open(&StorageConfig::sqlite(folder.join("test.db")), "test").await.unwrap();
    let now = Timestamp::from_millis(0).unwrap();
    SqliteMigrator::new(database.clone(), &[EVENTS, TABLE]).up(now).await.unwrap();
    database
}

async fn put(database: &Sqlite, number: i64) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    sqlx::query("INSERT INTO t VALUES (?)").bind(number).execute(write.connection()).await.map_err(classify)?;
    write.commit().await
}

async fn numbers(database: &Sqlite) -> Vec<i64> {
    sqlx::query_scalar("SELECT n FROM t ORDER BY n").fetch_all(database.readers()).await.unwrap()
}

/// Counts the commits in the write-ahead log: frames that carry the size of the database, as of SQLite's file format,
/// section 4.1.
fn commits(folder: &Path) -> usize {
    let log = std::fs::read(folder.join("test.db-wal")).unwrap();
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = 24 + word(8) as usize;
    (32..log.len()).step_by(frame).filter(|&start| start + frame <= log.len() && word(start + 4) != 0).count()
}

#[tokio::test]
async fn a_single_write_has_its_own_commit() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let before = commits(folder.path());
    for number in 0..5 {
        put(&database, number).await.unwrap();
    }
    assert_eq!(commits(folder.path()) - before, 5);
}

#[tokio::test]
async fn writes_that_queue_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let before = commits(folder.path());
    let mut first = database.write().await.unwrap();
    sqlx::query("INSERT INTO t VALUES (0)").execute(first.connection()).await.unwrap();
    let mut others = Box::pin(join_all((1..50).map(|number| put(&database, number))));
    assert!(poll!(&mut others).is_pending(), "they queue after the first");
    let (done, others) = tokio::join!(first.commit(), others);
    done.unwrap();
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    assert_eq!(commits(folder.path()) - before, 1);
    assert_eq!(numbers(&database).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn failed_and_cancelled_writes_are_rolled_back_in_their_group() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    put(&database, 1_000).await.unwrap();
    let writes = (0..90).map(|number| {
        let database = &database;
        async move {
            match number % 3 {
                0 => put(database, number).await,
                1 => {
                    let mut write = database.write().await?;
                    sqlx::query("INSERT INTO t VALUES (?)").bind(number).execute(write.connection()).await.unwrap();
                    Ok(())
                }
                _ => {
                    let mut write = database.write().await?;
                    let insert = |number| sqlx::query("INSERT INTO t VALUES (?)").bind(number);
                    insert(number).execute(write.connection()).await.unwrap();
                    insert(1_000).execute(write.connection()).await.map_err(classify)?;
                    write.commit().await
                }
            }
        }
    });
    let results = join_all(writes).await;
    for (number, result) in results.iter().enumerate() {
        assert_eq!(matches!(result, Err(RepoError::Conflict)), number % 3 == 2, "{number}: {result:?}");
    }
    let expected: Vec<i64> = (0..90).filter(|number| number % 3 == 0).chain([1_000]).collect();
    assert_eq!(numbers(&database).await, expected);
}

#[tokio::test]
async fn a_cancelled_caller_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let elsewhere = Sqlite::open(&StorageConfig::sqlite(folder.path().join("test.db")), "test").await.unwrap();
    for polls in 0..40 {
        let mut cancelled = Box::pin(put(&database, 100 + polls));
        for _ in 0..polls {
            if poll!(&mut cancelled).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(cancelled);
        // The lock on the file is released, for this process and for others.
        put(&database, 200 + polls).await.unwrap();
        put(&elsewhere, 300 + polls).await.unwrap();
    }
    let stored = numbers(&database).await;
    assert_eq!(stored.iter().filter(|&&number| number >= 200).count(), 80);
}

/// Writes the number in its own task, which is cancelled at this step: whenever it waits for something, that is one.
fn put_until(tasks: &mut JoinSet<()>, database: &Sqlite, number: i64, mut steps: usize) {
    let database = database.clone();
    tasks.spawn(async move {
        let mut write = pin!(put(&database, number));
        poll_fn(|cx| {
            steps -= 1;
            match write.as_mut().poll(cx) {
                Poll::Pending if steps > 0 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
    });
}

/// Every pair of steps at which two writes of a group are cancelled, ten times: whether the database executes a statement before
/// or after its caller is cancelled differs.
#[tokio::test]
async fn what_succeeds_between_cancelled_writes_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    for round in 0..640 {
        let (one, other) = (1 + round / 8 % 8, 1 + round % 8);
        let number = |place: i64| i64::try_from(round).unwrap() * 10 + place;
        let mut first = database.write().await.unwrap();
        sqlx::query("INSERT INTO t VALUES (?)").bind(number(0)).execute(first.connection()).await.unwrap();
        // They queue in this order, and join the group of the first.
        let mut cancelled = JoinSet::new();
        put_until(&mut cancelled, &database, number(1), one);
        tokio::task::yield_now().await;
        let mut between = Box::pin(put(&database, number(2)));
        assert!(poll!(&mut between).is_pending());
        put_until(&mut cancelled, &database, number(3), other);
        tokio::task::yield_now().await;
        let mut last = Box::pin(put(&database, number(4)));
        assert!(poll!(&mut last).is_pending());
        let (first, between, last) = tokio::join!(first.commit(), between, last);
        assert!(first.is_ok() && between.is_ok() && last.is_ok(), "{between:?} {last:?}");
        cancelled.join_all().await;
        let stored = numbers(&database).await;
        for place in [0, 2, 4] {
            assert!(stored.contains(&number(place)), "{place}, cancelled at steps {one} and {other}");
        }
    }
}

#[tokio::test]
async fn closing_waits_for_the_running_commit() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let mut write = database.write().await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(write.connection()).await.unwrap();
    let (done, ()) = tokio::join!(write.commit(), database.close());
    done.unwrap();
    let again = Sqlite::open(&StorageConfig::sqlite(folder.path().join("test.db")), "test").await.unwrap();
    assert_eq!(numbers(&again).await, [1]);
}
