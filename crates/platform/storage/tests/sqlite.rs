//! SQLite as a database: opening, sharing a file, migrating, and failing.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use kennel_config::HumanDuration;
use kennel_core::{RepoError, Timestamp};
use kennel_storage::sqlite::{EVENTS, Sqlite, SqliteMigrator, classify};
use kennel_storage::{Connections, Driver as _, MigrateError, Migration, MigrationState, Migrator as _};
use kennel_storage::{StorageConfig, Synchronous};

const TABLE: Migration =
    Migration { version: 2, name: "0002_table", up: "CREATE TABLE t (n INTEGER) STRICT", down: "DROP TABLE t" };
const BROKEN: Migration = Migration {
    version: 3,
    name: "0003_broken",
    up: "CREATE TABLE half (n INTEGER) STRICT; CREATE TABLE t (n INTEGER);",
    down: "",
};

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

async fn open(folder: &Path) -> Sqlite {
    Sqlite::open(&StorageConfig::sqlite(folder.join("deeper/test.db")), "test").await.unwrap()
}

async fn migrated(folder: &Path) -> Sqlite {
    let database = open(folder).await;
    migrator(&database, &[EVENTS, TABLE]).up(now()).await.unwrap();
    database
}

const fn steps<const N: usize>(steps: &'static [Migration; N]) -> &'static [Migration] {
    steps
}

fn migrator(database: &Sqlite, steps: &'static [Migration]) -> SqliteMigrator {
    SqliteMigrator::new(database.clone(), steps)
}

async fn put(database: &Sqlite, number: i64) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    sqlx::query("INSERT INTO t VALUES (?)").bind(number).execute(write.connection()).await.map_err(classify)?;
    write.commit().await
}

async fn sum(database: &Sqlite) -> i64 {
    let (sum,) = sqlx::query_as("SELECT coalesce(sum(n), 0) FROM t").fetch_one(database.readers()).await.unwrap();
    sum
}

async fn pragma(database: &Sqlite, sql: &'static str) -> (String, String) {
    let mut write = database.write().await.unwrap();
    let read = |row: sqlx::sqlite::SqliteRow| {
        use sqlx::Row as _;
        row.try_get_unchecked::<String, _>(0).unwrap()
    };
    let of_writer = read(sqlx::query(sql).fetch_one(write.connection()).await.unwrap());
    let of_reader = read(sqlx::query(sql).fetch_one(database.readers()).await.unwrap());
    (of_writer, of_reader)
}

#[tokio::test]
async fn every_connection_has_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig::sqlite(folder.path().join("test.db"));
    for (synchronous, number) in [(Synchronous::Full, "2"), (Synchronous::Normal, "1")] {
        let database =
            Sqlite::open(&StorageConfig { sqlite_synchronous: synchronous, ..config.clone() }, "test").await.unwrap();
        for (sql, of_writer, of_reader) in [
            ("PRAGMA journal_mode", "wal", "wal"),
            ("PRAGMA synchronous", number, number),
            ("PRAGMA foreign_keys", "1", "1"),
            ("PRAGMA cache_size", "-2048", "-2048"),
            ("PRAGMA busy_timeout", "5000", "5000"),
            ("PRAGMA query_only", "0", "1"),
        ] {
            assert_eq!(pragma(&database, sql).await, (of_writer.to_owned(), of_reader.to_owned()), "{sql}");
        }
        database.close().await;
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let result = sqlx::query("INSERT INTO t VALUES (1)").execute(database.readers()).await.map_err(classify);
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
    assert_eq!(sum(&database).await, 0);
}

#[tokio::test]
async fn a_write_is_seen_once_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let mut write = database.write().await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(write.connection()).await.unwrap();
    assert_eq!(sum(&database).await, 0, "not yet");
    drop(write);
    put(&database, 2).await.unwrap();
    assert_eq!(sum(&database).await, 2, "the dropped one was rolled back");
}

#[tokio::test]
async fn a_commit_survives_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    put(&database, 7).await.unwrap();
    // A copy of the files taken while they are open is what a killed process leaves.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("deeper")).unwrap();
    for file in ["test.db", "test.db-wal"] {
        std::fs::copy(folder.path().join("deeper").join(file), copy.path().join("deeper").join(file)).unwrap();
    }
    assert_eq!(sum(&open(copy.path()).await).await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let all = steps(&[EVENTS, TABLE]);
    // Both create the file, both migrate it, both write to it.
    let both = tokio::join!(open(folder.path()), open(folder.path()));
    let migrators = (migrator(&both.0, all), migrator(&both.1, all));
    let applied = tokio::join!(migrators.0.up(now()), migrators.1.up(now()));
    assert_eq!(applied.0.unwrap().len() + applied.1.unwrap().len(), 2, "each step once");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=100 {
        let database = if number % 2 == 0 { both.0.clone() } else { both.1.clone() };
        tasks.spawn(async move { put(&database, number).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!((sum(&both.0).await, sum(&both.1).await), (5_050, 5_050));
}

#[tokio::test]
async fn a_write_that_waits_too_long_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        database_acquire_timeout: HumanDuration::from_secs(1),
        ..StorageConfig::sqlite(folder.path().join("test.db"))
    };
    let (here, there) = (Sqlite::open(&config, "test").await.unwrap(), Sqlite::open(&config, "test").await.unwrap());
    let write = here.write().await.unwrap();
    let results = tokio::join!(here.write(), there.write());
    for result in [results.0.map(drop), results.1.map(drop)] {
        assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
    }
    drop(write);
    there.write().await.unwrap();
}

#[tokio::test]
async fn connections_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    // A connection returns to its pool shortly after its use.
    while database.connections() != (Connections { idle: 4, used: 0 }) {
        tokio::task::yield_now().await;
    }
    let write = database.write().await.unwrap();
    let read = database.readers().acquire().await.unwrap();
    assert_eq!(database.connections(), Connections { idle: 2, used: 2 });
    drop((write, read));
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    database.ping().await.unwrap();
    database.close().await;
    assert!(matches!(database.ping().await, Err(RepoError::Unavailable(_))));
    assert!(matches!(put(&database, 1).await, Err(RepoError::Unavailable(_))));
}

#[tokio::test]
async fn a_removed_file_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    std::fs::remove_file(folder.path().join("deeper/test.db")).unwrap();
    assert!(matches!(database.ping().await, Err(RepoError::Unavailable(_))));
}

#[tokio::test]
async fn files_that_do_not_open_have_distinct_errors() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    std::fs::write(&other, "this is no database, and long enough to be taken for one".repeat(50)).unwrap();
    let result = Sqlite::open(&StorageConfig::sqlite(&other), "test").await.map(drop);
    assert!(matches!(result, Err(RepoError::Corrupt(_))), "{result:?}");
    let result = Sqlite::open(&StorageConfig::sqlite(folder.path()), "test").await.map(drop);
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "a folder: {result:?}");
    let result = Sqlite::open(&StorageConfig::sqlite(other.join("below.db")), "test").await.map(drop);
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "below a file: {result:?}");
}

#[tokio::test]
async fn a_damaged_file_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    put(&database, 1).await.unwrap();
    database.close().await;
    let path = folder.path().join("deeper/test.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let result = match Sqlite::open(&StorageConfig::sqlite(&path), "test").await {
        Ok(database) => put(&database, 2).await,
        Err(error) => Err(error),
    };
    assert!(matches!(result, Err(RepoError::Corrupt(_))), "{result:?}");
}

#[tokio::test]
async fn migrations_can_be_applied_reverted_and_applied_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let migrator = migrator(&database, steps(&[EVENTS, TABLE]));
    let states = async || -> Vec<_> { migrator.status().await.unwrap().into_iter().map(|step| step.state).collect() };
    assert_eq!(states().await, [MigrationState::Pending; 2]);
    let up = migrator.up(now()).await.unwrap();
    assert_eq!(up.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["0001_events", "0002_table"]);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }; 2]);
    assert_eq!(migrator.up(now()).await.unwrap(), []);
    put(&database, 1).await.unwrap();

    assert_eq!(migrator.down(1).await.unwrap()[0].version, 2);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }, MigrationState::Pending]);
    assert_eq!(migrator.down(9).await.unwrap()[0].version, 1);
    let (left,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT IN ('schema_migrations') AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_one(database.readers())
    .await
    .unwrap();
    assert_eq!(left, 0, "down removes everything that up created");
    assert_eq!(migrator.down(1).await.unwrap(), []);
    assert_eq!(migrator.up(now()).await.unwrap().len(), 2);
    assert_eq!(sum(&database).await, 0);
}

#[tokio::test]
async fn a_changed_migration_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let changed = Migration { up: "CREATE TABLE t (n TEXT) STRICT", ..TABLE };
    let migrator = migrator(&database, Box::leak(Box::new([EVENTS, changed, BROKEN])));
    let result = migrator.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Changed { version: 2, .. })), "{result:?}");
    assert!(matches!(migrator.down(1).await, Err(MigrateError::Changed { .. })));
    assert_eq!(migrator.status().await.unwrap()[1].state, MigrationState::Changed);
}

#[tokio::test]
async fn a_newer_database_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    let older = migrator(&database, steps(&[EVENTS]));
    let result = older.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Unknown { version: 2, .. })), "{result:?}");
    assert_eq!(older.status().await.unwrap()[1].state, MigrationState::Unknown);
}

#[tokio::test]
async fn a_failed_migration_leaves_the_database_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let migrator = migrator(&database, steps(&[EVENTS, TABLE, BROKEN]));
    let result = migrator.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Step { version: 3, .. })), "{result:?}");
    assert!(migrator.status().await.unwrap().iter().all(|step| step.state == MigrationState::Pending));
    let (left,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM sqlite_schema").fetch_one(database.readers()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_writer_usable() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    for polls in 0..40 {
        let mut call = Box::pin(put(&database, 1));
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }
    let before = sum(&database).await;
    put(&database, 1).await.unwrap();
    assert!((before..=before + 2).contains(&(sum(&database).await - 1)), "a dropped commit may still succeed");
}

#[tokio::test]
async fn a_connection_that_is_not_returned_does_not_block_close() {
    let folder = tempfile::tempdir().unwrap();
    let database = migrated(folder.path()).await;
    put(&database, 1).await.unwrap();
    let leaked = database.readers().acquire().await.unwrap();
    // From here on no real time passes.
    tokio::time::pause();
    database.close().await;
    assert!(put(&database, 1).await.is_err(), "it is closed anyway");
    drop(leaked);
    tokio::time::resume();
    assert_eq!(sum(&open(folder.path()).await).await, 1);
}
