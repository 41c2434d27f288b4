//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;

use kennel_core::{Event, IdSource as _, Timestamp, TraceContext, UuidV7};
use kennel_storage::{Database, StorageConfig};
use prometheus::Registry;
use shop_domain::{Item, ItemCreated, ItemId, ItemRepository, SOURCE};
use shop_storages::{self as repository, MIGRATIONS};
use uuid::Uuid;

/// A migrated store, with the database or folder that is removed when the value is dropped.
pub(crate) struct Store {
    pub(crate) items: Arc<dyn ItemRepository>,
    pub(crate) database: Database,
    _resource: Box<dyn Any + Send + Sync>,
}

impl Store {
    async fn open(config: &StorageConfig, resource: impl Any + Send + Sync) -> Self {
        let database = kennel_storage::open(config, "shop", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(at(0)).await.unwrap();
        Self { items: repository::items(&database), database, _resource: Box::new(resource) }
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) async fn insert(&self, item: &Item) {
        self.items.insert(item, &[]).await.unwrap();
    }

    /// All items, newest first.
    pub(crate) async fn all(&self) -> Vec<Item> {
        self.items.list(None, u32::MAX).await.unwrap()
    }

    /// The events that are not published yet, in the order of their commits.
    pub(crate) async fn pending(&self) -> Vec<Event> {
        self.database.outbox.pending(1_000).await.unwrap()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    Some(Store::open(&StorageConfig::sqlite(folder.path().join("items.db")), folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Store::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Store::open(&StorageConfig::mysql(database.dsn()), database).await)
}

#[cfg(feature = "clickhouse")]
pub(crate) async fn clickhouse() -> Option<Store> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some(Store::open(&StorageConfig::clickhouse(database.dsn()), database).await)
}

/// A point in time, `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007 + millis).unwrap()
}

pub(crate) fn item(text: &str) -> Item {
    Item { id: ItemId(UuidV7.next()), text: text.to_owned().try_into().unwrap(), created_at: at(0) }
}

/// An item whose id has a known order.
pub(crate) fn numbered(number: u128) -> Item {
    Item { id: ItemId(Uuid::from_u128(number << 64)), ..item(&format!("item {number}")) }
}

/// The event of an item's creation, in a trace.
pub(crate) fn created(item: &Item) -> Event {
    let data = ItemCreated { id: item.id, text: item.text.clone(), created_at: item.created_at };
    let mut event = Event::new(UuidV7.next(), SOURCE, item.created_at, &data).unwrap();
    event.trace = trace();
    event
}

#[expect(clippy::unnecessary_wraps, reason = "the service calls it for the trace of a request, if there is one")]
pub(crate) fn trace() -> Option<TraceContext> {
    Some(TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: Some("kennel=1".to_owned()),
    })
}
