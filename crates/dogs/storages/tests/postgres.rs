//! What is `PostgreSQL`'s own: damaged rows, a missing schema, the migrations' files, and a measurement.

#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dogs_domain::{Dog, DogId, DogRepository as _, Photo, Revision};
use dogs_storages::{POSTGRES_MIGRATIONS, PostgresDogs, Storage, StorageConfig, connect};
use kennel_core::{Event, Outbox as _, RepoError, Timestamp};
use kennel_storage::Migrator as _;
use kennel_storage::postgres::{Postgres, PostgresConfig, PostgresMigrator, PostgresOutbox};
use kennel_testkit::TestDatabase;
use uuid::Uuid;

fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

fn dog(number: u128) -> Dog {
    let photo =
        Photo { key: "photos/a.jpg".parse().unwrap(), content_type: "image/jpeg".to_owned(), size: 1, thumbnail: None };
    Dog {
        id: DogId(Uuid::from_u128(number)),
        breed: "husky".parse().unwrap(),
        name: None,
        image_url: None,
        photo: Some(photo),
        revision: Revision::FIRST,
        created_at: at(),
        updated_at: at(),
    }
}

fn event() -> Event {
    Event {
        id: Uuid::from_u128(9),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: "dogs.events".to_owned(),
        key: "k".to_owned(),
        time: at(),
        data: "{}".into(),
        trace: None,
    }
}

async fn open(home: &TestDatabase) -> (Postgres, PostgresDogs) {
    let database = Postgres::open(&PostgresConfig::at(home.dsn())).await.unwrap();
    PostgresMigrator::new(database.clone(), POSTGRES_MIGRATIONS).up(at()).await.unwrap();
    (database.clone(), PostgresDogs::new(database))
}

async fn edit(database: &Postgres, sql: &'static str) {
    sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_dog_is_corrupt_and_harms_no_other() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (database, dogs) = open(&home).await;
    for (number, damage) in (1_u128..).zip([
        "UPDATE dogs SET breed = 'No Breed!'",
        "UPDATE dogs SET photo_key = '../etc/passwd'",
        "UPDATE dogs SET thumbnail = '/'",
        "UPDATE dogs SET created_at = 9223372036854775807",
        "UPDATE dogs SET updated_at = -9223372036854775808",
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
async fn the_schema_refuses_what_no_dog_can_have() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (database, dogs) = open(&home).await;
    dogs.insert(&dog(1), &[], None).await.unwrap();
    for damage in [
        "UPDATE dogs SET photo_type = NULL",
        "UPDATE dogs SET photo_size = -1",
        "UPDATE dogs SET revision = 0",
        "UPDATE dogs SET revision = 4294967296",
        "UPDATE dogs SET breed = ''",
        "UPDATE dogs SET photo_key = NULL, photo_type = NULL, photo_size = NULL, thumbnail = 'a/b.webp'",
    ] {
        assert!(sqlx::raw_sql(damage).execute(database.pool()).await.is_err(), "{damage}");
    }
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
}

#[tokio::test]
async fn damaged_events_are_corrupt() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (database, dogs) = open(&home).await;
    dogs.insert(&dog(1), &[event()], None).await.unwrap();
    edit(&database, "UPDATE outbox SET time = 9223372036854775807").await;
    let outbox = PostgresOutbox::new(database);
    assert!(matches!(outbox.pending(1).await, Err(RepoError::Corrupt(_))));
    assert!(matches!(outbox.backlog().await, Err(RepoError::Corrupt(_))));
}

#[tokio::test]
async fn without_its_schema_a_store_fails_and_says_why() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let mut config = StorageConfig { storage: Storage::Postgres, ..StorageConfig::default() };
    config.postgres = PostgresConfig::at(home.dsn());
    let stores = connect(&config).await.unwrap();
    stores.check.check().await.unwrap();
    let error = stores.dogs.find(DogId(Uuid::nil())).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("relation \"dogs\" does not exist"), "{source}");
}

#[tokio::test]
async fn an_address_must_be_given() {
    let config = StorageConfig { storage: Storage::Postgres, ..StorageConfig::default() };
    let mut problems = Vec::new();
    config.check("dogs", &mut problems);
    assert_eq!(problems, ["dogs.postgres.dsn: must be given"]);
    let error = connect(&config).await.err().unwrap();
    assert_eq!(error.to_string(), "the store `postgres` does not open");
}

#[tokio::test]
async fn down_undoes_all_of_up() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (database, _) = open(&home).await;
    let migrator = PostgresMigrator::new(database.clone(), POSTGRES_MIGRATIONS);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), POSTGRES_MIGRATIONS.len());
    let tables =
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')";
    let left: Vec<(String,)> = sqlx::query_as(tables).fetch_all(database.pool()).await.unwrap();
    assert_eq!(left, [("schema_migrations".to_owned(),)]);
    migrator.up(at()).await.unwrap();
}

/// `cargo test --release -p dogs-storages --features postgres --test postgres -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn import_speed() {
    const ROWS: u128 = 400_000;
    const BATCH: u128 = 4_000;
    let Some(home) = TestDatabase::postgres().await else { return };
    let (_, dogs) = open(&home).await;
    let mut taken = std::time::Duration::ZERO;
    for first in (0..ROWS).step_by(usize::try_from(BATCH).unwrap()) {
        let row = |number| Dog {
            breed: format!("breed{}", number * 7_919 % 180).parse().unwrap(),
            name: Some(format!("name {number}")),
            image_url: Some(format!("https://images.example.org/breeds/husky/{number}.jpg")),
            photo: None,
            ..dog(number << 40)
        };
        let batch = dogs_domain::ports::ImportBatch {
            import: "i".to_owned(),
            dogs: (first..first + BATCH).map(row).collect(),
            lines: u64::try_from(first + BATCH).unwrap(),
            digest: [0; 32],
            at: at(),
        };
        let started = std::time::Instant::now();
        dogs.import(&batch, &|_| Ok(Event { id: Uuid::from_u128(first), ..event() })).await.unwrap();
        taken += started.elapsed();
    }
    println!("{ROWS} rows in {taken:?}");
}
