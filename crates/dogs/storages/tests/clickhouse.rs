//! Cases of ClickHouse only: query plans, data parts, damaged records, many processes, and reverted migrations.

#![cfg(feature = "clickhouse")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/import.rs"]
mod import;
mod support;

use std::time::{Duration, Instant};

use dogs_domain::ports::{DogQuery, Inserted};
use dogs_domain::{Dog, DogId, DogRepository as _, Revision};
use dogs_storages::{ClickHouseDogs, MIGRATIONS};
use futures_util::future::join_all;
use kennel_core::{Order, Outbox as _, RepoError};
use kennel_storage::clickhouse::{ClickHouse, ClickHouseMigrator, ClickHouseOutbox};
use kennel_storage::{Driver as _, Migrator as _, StorageConfig};
use kennel_testkit::TestClickHouse;
use prometheus::Registry;
use serde::Deserialize;
use uuid::Uuid;

use import::import;
use support::{at, dog, event};

#[derive(Deserialize)]
struct Count {
    count: u64,
}

async fn opened(home: &TestClickHouse) -> (ClickHouse, ClickHouseDogs) {
    let database = ClickHouse::open(&StorageConfig::clickhouse(home.dsn().as_str())).await.unwrap();
    (database.clone(), ClickHouseDogs::new(database))
}

async fn migrated(home: &TestClickHouse) -> (ClickHouse, ClickHouseDogs) {
    let (database, dogs) = opened(home).await;
    ClickHouseMigrator::new(database.clone(), MIGRATIONS.clickhouse).up(at()).await.unwrap();
    (database, dogs)
}

async fn count(database: &ClickHouse, from: &str) -> u64 {
    let counts: Vec<Count> =
        database.rows(database.query(&format!("SELECT count() AS count FROM {from}"))).await.unwrap();
    counts[0].count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_dog_is_corrupt_and_affects_no_other() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    dogs.insert(&dog(1), &[], None).await.unwrap();
    for (version, damage) in (1_000..).zip([
        "'No Breed!' AS breed",
        "'../etc/passwd' AS photo_key, 'image/png' AS photo_type, 1 AS photo_size",
        "'a.png' AS photo_key",
        "253402300800000 AS created_at",
        "-62167219200001 AS updated_at",
        "unhex('ff') AS name",
    ]) {
        let columns: Vec<_> = damage.split(" AS ").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
        let breed = if columns.contains(&"breed") { "" } else { ", breed" };
        let value = if breed.is_empty() { "" } else { ", 'husky'" };
        let sql = format!(
            "INSERT INTO record_versions (kind, key, version, revision{breed}, {})
             SELECT 'dog', '{}', {version}, 1{value}, {damage}",
            columns.join(", "),
            dog(2).id
        );
        database.execute(&sql).await.unwrap();
        let result = dogs.find(dog(2).id).await;
        assert!(matches!(result, Err(RepoError::Corrupt(_))), "{damage}: {result:?}");
        assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_writes_in_many_processes_one_succeeds() {
    let Some(home) = TestClickHouse::create() else { return };
    let replicas = [migrated(&home).await.1, opened(&home).await.1, opened(&home).await.1];
    let inserts = join_all(replicas.iter().map(|dogs| async { dogs.insert(&dog(1), &[event(1)], None).await })).await;
    assert_eq!(inserts.iter().filter(|result| matches!(result, Ok(Inserted::New))).count(), 1);
    assert_eq!(inserts.iter().filter(|result| matches!(result, Err(RepoError::Conflict))).count(), 2);
    for revision in 1..=4 {
        let changed = |name: usize| Dog { name: Some(name.to_string()), revision: Revision(revision + 1), ..dog(1) };
        let updates = join_all(replicas.iter().enumerate().map(|(name, dogs)| async move {
            dogs.update(&changed(name), Revision(revision), &[event(u128::from(revision) * 10)]).await.unwrap()
        }))
        .await;
        assert_eq!(updates.iter().filter(|won| **won).count(), 1);
        let winner = updates.iter().position(|won| *won).unwrap();
        for dogs in &replicas {
            assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(changed(winner)));
        }
    }
    let (database, _) = opened(&home).await;
    assert_eq!(ClickHouseOutbox::new(database).pending(99).await.unwrap().len(), 5, "one event for each winner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_data_survives_merges_and_a_restart() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    dogs.insert(&dog(1), &[event(1)], None).await.unwrap();
    dogs.insert(&dog(2), &[event(2)], None).await.unwrap();
    let changed = Dog { revision: Revision(2), breed: "pug".parse().unwrap(), ..dog(1) };
    assert!(dogs.update(&changed, Revision(1), &[event(3)]).await.unwrap());
    assert!(dogs.delete(dog(2).id, Revision(1), &[event(4)]).await.unwrap());
    database.execute("OPTIMIZE TABLE record_versions FINAL").await.unwrap();
    database.close().await;
    let (database, dogs) = opened(&home).await;
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(changed.clone()));
    assert_eq!(dogs.find(dog(2).id).await.unwrap(), None);
    let events = ClickHouseOutbox::new(database.clone()).pending(9).await.unwrap();
    assert_eq!(events, [event(1), event(2), event(3), event(4)], "a later version removes no event");
    assert_eq!(count(&database, "dogs WHERE breed = 'pug'").await, 1, "the view shows dogs as they are");
    assert_eq!(count(&database, "dogs").await, 1);
    let query =
        |breed: &str| DogQuery { breed: Some(breed.parse().unwrap()), after: None, order: Order::Ascending, limit: 9 };
    assert_eq!(dogs.list(&query("pug")).await.unwrap(), [changed]);
    assert_eq!(dogs.list(&query("husky")).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_creates_one_part_per_batch() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    database.execute("SYSTEM STOP MERGES record_versions").await.unwrap();
    import(&dogs, 12_000).await;
    let parts = count(&database, "system.parts WHERE database = currentDatabase() AND table = 'record_versions'").await;
    assert_eq!(parts, 3);
    assert_eq!(count(&database, "dogs").await, 12_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dogs_created_concurrently_share_parts() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    database.execute("SYSTEM STOP MERGES record_versions").await.unwrap();
    let dogs_to_insert: Vec<_> = (0..600).map(dog).collect();
    let results = join_all(dogs_to_insert.iter().map(|dog| dogs.insert(dog, &[], None))).await;
    assert!(results.iter().all(|result| matches!(result, Ok(Inserted::New))));
    let parts = count(&database, "system.parts WHERE database = currentDatabase() AND table = 'record_versions'").await;
    assert!(parts <= 10, "600 dogs are in {parts} parts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_idle_writes_after_the_commits_of_others() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, idle) = migrated(&home).await;
    // The server remembers a limited number of tokens, in production those of the last 10,000 commits.
    let window = "ALTER TABLE record_versions MODIFY SETTING non_replicated_deduplication_window = 4";
    database.execute(window).await.unwrap();
    idle.insert(&dog(1), &[], None).await.unwrap();
    let (other, busy) = opened(&home).await;
    for number in 2..12 {
        busy.insert(&dog(number), &[event(number)], None).await.unwrap();
    }
    ClickHouseOutbox::new(other).mark_published(&(2..12).map(Uuid::from_u128).collect::<Vec<_>>(), at()).await.unwrap();
    // Longer than a process uses the number of the last commit without reading it again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    idle.insert(&dog(99), &[event(99)], None).await.unwrap();
    assert_eq!(ClickHouseOutbox::new(database.clone()).pending(9).await.unwrap(), [event(99)]);
    let commits = "record_versions WHERE kind = 'commit'";
    let numbers = count(&database, &format!("(SELECT DISTINCT key FROM {commits})")).await;
    assert_eq!(count(&database, commits).await, numbers, "a number was used twice");
}

/// `cargo test --release -p dogs-storages --no-default-features --features clickhouse --test clickhouse -- --ignored
/// --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn import_speed() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    let elapsed = import(&dogs, 100_000).await;
    let active = "system.parts WHERE database = currentDatabase() AND table = 'record_versions' AND active";
    println!("100000 rows in {elapsed:?}; {} parts left", count(&database, active).await);
    for breed in [None, Some("breed7".parse().unwrap())] {
        for after in [None, Some(dog(99_000 << 40).id)] {
            let query = DogQuery { breed: breed.clone(), after, order: Order::Ascending, limit: 50 };
            let started = Instant::now();
            let page = dogs.list(&query).await.unwrap();
            println!("page of {:?} after {after:?}: {} dogs in {:?}", query.breed, page.len(), started.elapsed());
        }
    }
    let one = |number| Dog { id: DogId(Uuid::from_u128(number | 1 << 100)), ..dog(number) };
    let started = Instant::now();
    join_all((0..1_000_u128).map(|number| {
        let (dogs, dog) = (dogs.clone(), one(number));
        async move { dogs.insert(&dog, &[event(number)], None).await.unwrap() }
    }))
    .await;
    println!("1000 concurrent inserts in {:?}; {} parts left", started.elapsed(), count(&database, active).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_read_in_the_order_of_the_key() {
    #[derive(Deserialize)]
    struct Line {
        explain: String,
    }
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    import(&dogs, 4_000).await;
    for (kind, order) in [("dog", "ASC"), ("dog", "DESC"), ("breed", "ASC"), ("event", "ASC"), ("published", "DESC")] {
        let sql = format!(
            "EXPLAIN indexes = 1 SELECT key, deleted, revision FROM record_versions WHERE kind = '{kind}' AND key > '0'
             ORDER BY key {order}, version DESC LIMIT 1 BY key LIMIT 50"
        );
        let plan: Vec<Line> = database.rows(database.query(&sql)).await.unwrap();
        let plan = plan.into_iter().map(|line| line.explain).collect::<Vec<_>>().join("\n");
        assert!(plan.contains("PrimaryKey"), "{plan}");
        assert!(plan.contains("Prefix sort description: key"), "only what shares a key is sorted: {plan}");
    }
}

#[tokio::test]
async fn without_its_schema_a_store_fails_with_a_reason() {
    let Some(home) = TestClickHouse::create() else { return };
    let config = StorageConfig::clickhouse(home.dsn().as_str());
    let stores = dogs_storages::open(&config, &Registry::new()).await.unwrap();
    stores.database.driver.ping().await.unwrap();
    let error = stores.dogs.find(DogId(Uuid::nil())).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("record_versions"), "{source}");
}

#[tokio::test]
async fn a_store_that_does_not_open_is_named() {
    let config = StorageConfig::clickhouse("http://kennel:hunter2@127.0.0.1:1/dogs");
    let error = dogs_storages::open(&config, &Registry::new()).await.err().unwrap();
    assert_eq!(error.to_string(), "the store `clickhouse` does not open");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn down_reverts_all_of_up_and_single_steps() {
    let Some(home) = TestClickHouse::create() else { return };
    let (database, dogs) = migrated(&home).await;
    dogs.insert(&dog(1), &[event(1)], None).await.unwrap();
    let migrator = ClickHouseMigrator::new(database.clone(), MIGRATIONS.clickhouse);
    assert_eq!(migrator.down(2).await.unwrap().len(), 2);
    assert_eq!(ClickHouseOutbox::new(database.clone()).pending(9).await.unwrap(), [event(1)], "the events stay");
    migrator.up(at()).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), None);
    assert_eq!(dogs.insert(&dog(1), &[], None).await.unwrap(), Inserted::New);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), MIGRATIONS.clickhouse.len());
    let left = "system.tables WHERE database = currentDatabase() AND name NOT LIKE 'schema_%'";
    assert_eq!(count(&database, left).await, 0);
    migrator.up(at()).await.unwrap();
}
