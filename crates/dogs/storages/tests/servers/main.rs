//! Shared cases of databases on a server, in addition to the conformance suite: damaged rows, a missing schema,
//! reverted migrations, and a measurement.

#![cfg(any(feature = "postgres", feature = "mysql"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/import.rs"]
mod import;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use dogs_domain::ports::Inserted;
use dogs_domain::{DogId, DogImports, DogRepository};
use futures_util::future::join_all;
use kennel_config::{Problems, Section as _};
use kennel_core::{BackendKind as _, Outbox, RepoError};
use kennel_storage::{Migration, Migrator, Storage, StorageConfig};
use kennel_testkit::TestDatabase;
use prometheus::{Registry, TextEncoder};
use uuid::Uuid;

use import::import;
use support::{at, dog, event};

/// One test per case.
macro_rules! server_cases {
    ($server:ty; $($case:ident)+) => {
        $(#[tokio::test]
        async fn $case() {
            if let Some(home) = <$server as crate::Server>::home().await {
                crate::$case::<$server>(&home).await;
            }
        })+

        /// `cargo test --release -p dogs-storages --features postgres,mysql --test servers -- --ignored --nocapture`
        #[tokio::test]
        #[ignore = "a measurement"]
        async fn import_speed() {
            if let Some(home) = <$server as crate::Server>::home().await {
                crate::import_speed::<$server>(&home).await;
            }
        }
    };
    ($server:ty) => {
        crate::server_cases! { $server;
            a_damaged_dog_is_corrupt_and_affects_no_other
            the_schema_rejects_invalid_dogs
            damaged_events_are_corrupt
            without_its_schema_a_store_fails_with_a_reason
            down_reverts_all_of_up
            concurrent_calls_share_batches
        }
    };
}

use server_cases;

/// The interface that these cases need.
trait Server: Sized {
    type Dogs: DogRepository + DogImports;

    const STORAGE: Storage;
    const STEPS: &'static [Migration];
    /// The error text of the server for a missing table `dogs`.
    const NO_DOGS: &'static str;

    async fn home() -> Option<TestDatabase>;
    /// Settings of a service that stores its dogs there.
    fn config(home: &TestDatabase) -> StorageConfig;
    async fn open(home: &TestDatabase) -> Self;
    fn dogs(&self) -> Self::Dogs;
    fn outbox(&self) -> Arc<dyn Outbox>;
    fn migrator(&self) -> Arc<dyn Migrator>;
    async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error>;
    /// The tables, sequences and views of the database.
    async fn tables(&self) -> Vec<String>;
}

/// A migrated database, and its dog repository.
async fn migrated<S: Server>(home: &TestDatabase) -> (S, S::Dogs) {
    let database = S::open(home).await;
    database.migrator().up(at()).await.unwrap();
    let dogs = database.dogs();
    (database, dogs)
}

async fn a_damaged_dog_is_corrupt_and_affects_no_other<S: Server>(home: &TestDatabase) {
    let (database, dogs) = migrated::<S>(home).await;
    for (number, damage) in (1_u128..).zip([
        "UPDATE dogs SET breed = 'No Breed!'",
        "UPDATE dogs SET photo_key = '../etc/passwd'",
        "UPDATE dogs SET thumbnail = '/'",
        "UPDATE dogs SET created_at = 9223372036854775807",
        "UPDATE dogs SET updated_at = -9223372036854775808",
    ]) {
        let dog = dog(number);
        dogs.insert(&dog, &[], None).await.unwrap();
        database.execute(damage).await.unwrap();
        let result = dogs.find(dog.id).await;
        assert!(matches!(result, Err(RepoError::Corrupt(_))), "{damage}: {result:?}");
        database.execute("DELETE FROM dogs").await.unwrap();
        dogs.insert(&dog, &[], None).await.unwrap();
        assert_eq!(dogs.find(dog.id).await.unwrap(), Some(dog));
        database.execute("DELETE FROM dogs").await.unwrap();
    }
}

async fn concurrent_calls_share_batches<S: Server>(home: &TestDatabase) {
    let registry = Registry::new();
    let stores = dogs_storages::open(&S::config(home), &registry).await.unwrap();
    stores.database.migrator.up(at()).await.unwrap();
    let insert = async |number| stores.dogs.insert(&dog(number), &[event(number)], None).await.unwrap();
    assert_eq!(join_all((1..=50).map(insert)).await, vec![Inserted::New; 50]);
    let find = async |number| stores.dogs.find(dog(number).id).await.unwrap();
    let found = join_all((1..=51).map(find)).await;
    assert_eq!(found, (1..=51).map(|number| (number < 51).then(|| dog(number))).collect::<Vec<_>>());
    assert_eq!(stores.database.outbox.pending(100).await.unwrap().len(), 50);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for operation in ["dogs.insert", "dogs.find"] {
        let batches = text.lines().find(|line| {
            line.starts_with("database_batch_size_count") && line.contains(&format!(r#"operation="{operation}""#))
        });
        let batches: u32 = batches.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
        assert!(batches < 10, "{operation}: {batches} batches");
    }
}

async fn the_schema_rejects_invalid_dogs<S: Server>(home: &TestDatabase) {
    let (database, dogs) = migrated::<S>(home).await;
    let dog = dog(1);
    dogs.insert(&dog, &[], None).await.unwrap();
    for damage in [
        "UPDATE dogs SET photo_type = NULL",
        "UPDATE dogs SET photo_size = -1",
        "UPDATE dogs SET revision = 0",
        "UPDATE dogs SET revision = 4294967296",
        "UPDATE dogs SET breed = ''",
        "UPDATE dogs SET photo_key = NULL, photo_type = NULL, photo_size = NULL, thumbnail = 'a/b.webp'",
    ] {
        assert!(database.execute(damage).await.is_err(), "{damage}");
    }
    assert_eq!(dogs.find(dog.id).await.unwrap(), Some(dog));
}

async fn damaged_events_are_corrupt<S: Server>(home: &TestDatabase) {
    let (database, dogs) = migrated::<S>(home).await;
    dogs.insert(&dog(1), &[event(9)], None).await.unwrap();
    database.execute("UPDATE outbox SET time = 9223372036854775807").await.unwrap();
    let outbox = database.outbox();
    assert!(matches!(outbox.pending(1).await, Err(RepoError::Corrupt(_))));
    assert!(matches!(outbox.backlog().await, Err(RepoError::Corrupt(_))));
}

async fn without_its_schema_a_store_fails_with_a_reason<S: Server>(home: &TestDatabase) {
    let stores = dogs_storages::open(&S::config(home), &Registry::new()).await.unwrap();
    stores.database.driver.ping().await.unwrap();
    let error = stores.dogs.find(DogId(Uuid::nil())).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(S::NO_DOGS), "{source}");
}

async fn down_reverts_all_of_up<S: Server>(home: &TestDatabase) {
    let (database, _) = migrated::<S>(home).await;
    assert_eq!(database.migrator().down(u32::MAX).await.unwrap().len(), S::STEPS.len());
    assert_eq!(database.tables().await, ["schema_migrations"]);
    database.migrator().up(at()).await.unwrap();
}

/// A missing DSN is reported, and nothing is opened.
async fn a_dsn_is_required(storage: Storage) {
    let config = StorageConfig::default().of(storage);
    let mut problems = Problems::default();
    config.check(&mut problems);
    let (name, problem) = (storage.name(), problems.into_result().unwrap_err().to_string());
    assert_eq!(problem, format!("{}_DSN (not set): must be set when the store is {name}", name.to_uppercase()));
    let error = dogs_storages::open(&config, &Registry::new()).await.err().unwrap();
    assert_eq!(error.to_string(), format!("the store `{name}` does not open"));
}

async fn import_speed<S: Server>(home: &TestDatabase) {
    let (_, dogs) = migrated::<S>(home).await;
    println!("400000 rows in {:?} into {}", import(&dogs, 400_000).await, S::STORAGE.name());
}
