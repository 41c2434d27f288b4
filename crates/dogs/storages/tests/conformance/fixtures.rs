//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "sqlite")]
use std::time::Duration;

use dogs_domain::ports::{DogQuery, IdempotencyKey, ImportBatch, Inserted};
use dogs_domain::{Dog, DogId, DogRepository, Photo, Revision};
use dogs_storages::Stores;
#[cfg(feature = "sqlite")]
use dogs_storages::{CachedDogImports, CachedDogRepository};
#[cfg(feature = "sqlite")]
use kennel_cache::{CacheMetrics, Connected, Policy, TypedCache};
use kennel_core::{Event, IdSource as _, Order, Receipt, Timestamp, TraceContext, UuidV7};
use kennel_storage::{Engine, StorageConfig};
use prometheus::Registry;
use uuid::Uuid;

/// Open, migrated stores, with the database or folder that is removed when the value is dropped.
pub(crate) struct Fresh {
    pub(crate) stores: Stores,
    _database: Box<dyn Any + Send>,
}

impl Fresh {
    async fn open(config: &StorageConfig, database: impl Any + Send) -> Self {
        let stores = dogs_storages::open(config, &Registry::new()).await.unwrap();
        stores.database.migrator.up(at(0)).await.unwrap();
        Self { stores, _database: Box::new(database) }
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Fresh> {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        // There are hundreds of cases, and none of them tests durability after a power loss.
        sqlite_synchronous: kennel_storage::Synchronous::Normal,
        database_acquire_timeout: kennel_config::HumanDuration::from_secs(60),
        ..StorageConfig::sqlite(folder.path().join("dogs.db"))
    };
    Some(Fresh::open(&config, folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Fresh> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Fresh::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn pgbouncer() -> Option<Fresh> {
    use kennel_storage::Pooler;

    let database = kennel_testkit::TestDatabase::postgres().await?;
    let dsn = database.dsn_by_pgbouncer()?;
    let config = StorageConfig { postgres_pooler: Pooler::Transaction, ..StorageConfig::postgres(dsn) };
    Some(Fresh::open(&config, database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Fresh> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Fresh::open(&StorageConfig::mysql(database.dsn()), database).await)
}

#[cfg(feature = "clickhouse")]
pub(crate) async fn clickhouse() -> Option<Fresh> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some(Fresh::open(&StorageConfig::clickhouse(database.dsn()), database).await)
}

#[cfg(feature = "sqlite")]
pub(crate) async fn decorated() -> Option<Fresh> {
    let fresh = sqlite().await?;
    let stores = fresh.stores.clone();
    let connected = Connected::memory(1 << 20);
    let metrics = CacheMetrics::register(&Registry::new()).unwrap();
    let dogs = TypedCache::new(&connected, Policy::new("dogs.by_id", Duration::from_mins(10)), &metrics);
    let dogs = Arc::new(CachedDogRepository::new(Arc::clone(&stores.dogs), dogs));
    let imports = Arc::new(CachedDogImports::new(Arc::clone(&stores.imports), Arc::clone(&dogs)));
    Some(Fresh { stores: Stores { dogs, imports, ..stores }, ..fresh })
}

/// The dogs of a store without any decorator.
pub(crate) fn undecorated(stores: &Stores) -> Arc<dyn DogRepository> {
    match stores.database.engine.clone() {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(engine) => Arc::new(dogs_storages::SqliteDogs::new(engine)),
        #[cfg(feature = "postgres")]
        Engine::Postgres(engine) => Arc::new(dogs_storages::PostgresDogs::new(engine)),
        #[cfg(feature = "mysql")]
        Engine::Mysql(engine) => Arc::new(dogs_storages::MysqlDogs::new(engine)),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(engine) => Arc::new(dogs_storages::ClickHouseDogs::new(engine)),
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
    }
}

/// A point in time, `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007 + millis).unwrap()
}

pub(crate) fn id() -> Uuid {
    UuidV7.next()
}

/// A dog with every field.
pub(crate) fn dog(breed: &str) -> Dog {
    Dog {
        id: DogId(id()),
        breed: breed.parse().unwrap(),
        name: Some("Rex".to_owned()),
        image_url: Some("https://example.org/rex.jpg".to_owned()),
        photo: Some(photo("rex")),
        revision: Revision::FIRST,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn photo(name: &str) -> Photo {
    Photo {
        key: format!("photos/{name}.jpg").parse().unwrap(),
        content_type: "image/jpeg".to_owned(),
        size: 12_345,
        thumbnail: None,
    }
}

/// A dog without its optional fields.
pub(crate) fn plain_dog(breed: &str) -> Dog {
    Dog { name: None, image_url: None, photo: None, ..dog(breed) }
}

/// The dog after a change by a user.
pub(crate) fn renamed(dog: &Dog, name: &str) -> Dog {
    Dog { name: Some(name.to_owned()), revision: dog.revision.next(), updated_at: at(1), ..dog.clone() }
}

static EVENTS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn event() -> Event {
    let number = EVENTS.fetch_add(1, Ordering::Relaxed);
    Event {
        id: id(),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: "dogs.events".to_owned(),
        key: format!("dog {number}"),
        time: at(i64::try_from(number).unwrap()),
        content_type: "application/json".to_owned(),
        data: format!("{{\"number\":{number}}}").into(),
        trace: Some(TraceContext {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            tracestate: Some("kennel=1".to_owned()),
        }),
    }
}

pub(crate) fn events<const N: usize>() -> [Event; N] {
    std::array::from_fn(|_| event())
}

pub(crate) fn key(name: &str, fingerprint: u8) -> IdempotencyKey {
    IdempotencyKey { key: name.to_owned(), fingerprint: [fingerprint; 32] }
}

pub(crate) fn receipt(group: &str) -> Receipt {
    Receipt { group: group.to_owned(), event: id(), at: at(0) }
}

pub(crate) fn batch(import: &str, dogs: Vec<Dog>, lines: u64) -> ImportBatch {
    let digest = [u8::try_from(lines % 251).unwrap(); 32];
    ImportBatch { import: import.to_owned(), dogs, lines, digest, at: at(0) }
}

pub(crate) fn query() -> DogQuery {
    DogQuery { breed: None, after: None, order: Order::Ascending, limit: 100_000 }
}

pub(crate) fn ids(dogs: &[Dog]) -> Vec<DogId> {
    dogs.iter().map(|dog| dog.id).collect()
}

pub(crate) async fn put(stores: &Stores, dog: &Dog) {
    assert_eq!(stores.dogs.insert(dog, &[], None).await.unwrap(), Inserted::New);
}

/// Commits events, in this order.
pub(crate) async fn commit_events(stores: &Stores, events: &[Event]) {
    assert_eq!(stores.dogs.insert(&plain_dog("husky"), events, None).await.unwrap(), Inserted::New);
}

pub(crate) async fn all(stores: &Stores) -> Vec<Dog> {
    stores.dogs.list(&query()).await.unwrap()
}

/// A limit that no case reaches.
pub(crate) const NO_LIMIT: u32 = 100_000;

/// Purges until nothing is old, and asserts that each call removed one of these batches; a store that deletes whole
/// files may remove several at once.
pub(crate) async fn assert_batches(stores: &Stores, expected: &[u64], purge: impl AsyncFn() -> u64) {
    let mut batches = Vec::new();
    loop {
        match purge().await {
            0 => break,
            removed => batches.push(removed),
        }
    }
    if stores.capabilities.transactions {
        assert_eq!(batches, expected);
    }
    assert_eq!(batches.iter().sum::<u64>(), expected.iter().sum::<u64>());
}

/// The pending events.
pub(crate) async fn pending(stores: &Stores) -> Vec<Event> {
    stores.database.outbox.pending(100_000).await.unwrap()
}

/// An event with the number of new dogs as its data.
pub(crate) fn count_event(dogs: u64) -> Event {
    Event { data: dogs.to_string().into(), ..event() }
}
