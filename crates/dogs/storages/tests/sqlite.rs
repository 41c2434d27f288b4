//! Cases of SQLite only: damaged rows, a read-only file, a full disk, and reverted migrations.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/import.rs"]
mod import;
mod support;

use std::path::Path;

use dogs_domain::{Dog, DogId, DogImports as _, DogRepository as _, Revision};
use dogs_storages::{MIGRATIONS, SqliteDogs};
use kennel_core::{Outbox as _, RepoError};
use kennel_storage::sqlite::{Sqlite, SqliteMigrator, SqliteOutbox};
use kennel_storage::{Migrator as _, StorageConfig};
use prometheus::Registry;
use uuid::Uuid;

use import::import;
use support::{at, dog, event};

async fn open(path: &Path) -> (Sqlite, SqliteDogs) {
    let database = Sqlite::open(&StorageConfig::sqlite(path), "dogs").await.unwrap();
    SqliteMigrator::new(database.clone(), MIGRATIONS.sqlite).up(at()).await.unwrap();
    (database.clone(), SqliteDogs::new(database))
}

async fn edit(database: &Sqlite, sql: &'static str) {
    let mut write = database.write().await.unwrap();
    sqlx::raw_sql("PRAGMA ignore_check_constraints = ON").execute(write.connection()).await.unwrap();
    sqlx::raw_sql(sql).execute(write.connection()).await.unwrap();
    sqlx::raw_sql("PRAGMA ignore_check_constraints = OFF").execute(write.connection()).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn a_damaged_dog_is_corrupt_and_affects_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (database, dogs) = open(&folder.path().join("dogs.db")).await;
    for (number, damage) in (1_u128..).zip([
        "UPDATE dogs SET breed = 'No Breed!'",
        "UPDATE dogs SET photo_key = '../etc/passwd'",
        "UPDATE dogs SET photo_type = NULL",
        "UPDATE dogs SET photo_size = -1",
        "UPDATE dogs SET thumbnail = '/'",
        "UPDATE dogs SET created_at = 9223372036854775807",
        "UPDATE dogs SET updated_at = -9223372036854775808",
        "UPDATE dogs SET revision = 4294967296",
        "UPDATE dogs SET revision = -1",
        "UPDATE dogs SET name = CAST(x'ff' AS TEXT)",
    ]) {
        dogs.insert(&dog(number), &[], None).await.unwrap();
        edit(&database, damage).await;
        let result = dogs.find(dog(number).id).await;
        assert!(matches!(result, Err(RepoError::Corrupt(_))), "{damage}: {result:?}");
        edit(&database, "DELETE FROM dogs").await;
        dogs.insert(&dog(number), &[], None).await.unwrap();
        assert_eq!(dogs.find(dog(number).id).await.unwrap(), Some(dog(number)));
        edit(&database, "DELETE FROM dogs").await;
    }
}

#[tokio::test]
async fn damaged_events_and_imports_are_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let (database, dogs) = open(&folder.path().join("dogs.db")).await;
    dogs.insert(&dog(1), &[event(9)], None).await.unwrap();
    edit(&database, "UPDATE outbox SET time = 9223372036854775807").await;
    let outbox = SqliteOutbox::new(database.clone());
    assert!(matches!(outbox.pending(1).await, Err(RepoError::Corrupt(_))));
    assert!(matches!(outbox.backlog().await, Err(RepoError::Corrupt(_))));
    dogs.begin_import("i", at()).await.unwrap();
    edit(&database, "UPDATE imports SET digest = x'00'").await;
    assert!(matches!(dogs.begin_import("i", at()).await, Err(RepoError::Corrupt(_))));
}

/// The root user can write to any file, so `query_only` simulates a read-only file.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_unavailable_and_still_readable() {
    let folder = tempfile::tempdir().unwrap();
    let (database, dogs) = open(&folder.path().join("dogs.db")).await;
    dogs.insert(&dog(1), &[], None).await.unwrap();
    let mut write = database.write().await.unwrap();
    sqlx::raw_sql("PRAGMA query_only = ON").execute(write.connection()).await.unwrap();
    write.commit().await.unwrap();
    let result = dogs.insert(&dog(2), &[event(9)], None).await;
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
    assert_eq!(dogs.find(dog(2).id).await.unwrap(), None);
    // The connection is replaced, and the new one can write.
    dogs.insert(&dog(2), &[event(9)], None).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (database, dogs) = open(&folder.path().join("dogs.db")).await;
    edit(&database, "PRAGMA max_page_count = 1").await;
    let big = Dog { name: Some("x".repeat(1_000_000)), ..dog(1) };
    let result = dogs.insert(&big, &[event(9)], None).await;
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
    assert_eq!(dogs.find(big.id).await.unwrap(), None);
    assert_eq!(SqliteOutbox::new(database).pending(9).await.unwrap(), []);
}

#[tokio::test]
async fn without_its_schema_a_store_fails_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig::sqlite(folder.path().join("dogs.db"));
    let stores = dogs_storages::open(&config, &Registry::new()).await.unwrap();
    stores.database.driver.ping().await.unwrap();
    let error = stores.dogs.find(DogId(Uuid::nil())).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("no such table: dogs"), "{source}");
}

#[tokio::test]
async fn a_store_that_does_not_open_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig::sqlite(folder.path());
    let error = dogs_storages::open(&config, &Registry::new()).await.err().unwrap();
    assert_eq!(error.to_string(), "the store `sqlite` does not open");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn commits_of_another_process_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, here) = (folder.path().join("dogs.db"), open(&folder.path().join("dogs.db")).await);
    let there = open(&path).await;
    there.1.insert(&dog(1), &[event(9)], None).await.unwrap();
    assert_eq!(here.1.find(dog(1).id).await.unwrap(), Some(dog(1)));
    assert_eq!(SqliteOutbox::new(here.0).pending(9).await.unwrap(), [event(9)]);
    assert!(here.1.update(&Dog { revision: Revision(2), ..dog(1) }, Revision(1), &[]).await.unwrap());
    assert!(!there.1.update(&Dog { revision: Revision(2), ..dog(1) }, Revision(1), &[]).await.unwrap());
}

#[tokio::test]
async fn stored_data_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dogs.db");
    let (database, dogs) = open(&path).await;
    dogs.insert(&dog(1), &[event(9)], None).await.unwrap();
    kennel_storage::Driver::close(&database).await;
    let (database, dogs) = open(&path).await;
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
    assert_eq!(SqliteOutbox::new(database).pending(9).await.unwrap(), [event(9)]);
}

#[tokio::test]
async fn down_reverts_all_of_up() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(&folder.path().join("dogs.db")).await;
    let migrator = SqliteMigrator::new(database.clone(), MIGRATIONS.sqlite);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), MIGRATIONS.sqlite.len());
    let left: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_schema").fetch_all(database.readers()).await.unwrap();
    assert_eq!(left, [("schema_migrations".to_owned(),)]);
    migrator.up(at()).await.unwrap();
}

/// `cargo test --release -p dogs-storages --test sqlite -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn import_speed() {
    let folder = tempfile::tempdir().unwrap();
    let (_, dogs) = open(&folder.path().join("dogs.db")).await;
    println!("400000 rows in {:?}", import(&dogs, 400_000).await);
}
