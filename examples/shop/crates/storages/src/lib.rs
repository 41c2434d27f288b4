//! Items in every store: one file per store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Engine, Migrations, database_span, migration};
use shop_domain::{Item, ItemId, ItemRepository};

/// The migrations of the schema.
#[expect(clippy::allow_attributes, reason = "whether a store is left out depends on the features")]
#[allow(clippy::needless_update)]
pub const MIGRATIONS: Migrations = Migrations {
    #[cfg(feature = "sqlite")]
    sqlite: &[kennel_storage::sqlite::EVENTS, migration!("../../../migrations/sqlite", 2, "0002_items")],
    #[cfg(feature = "postgres")]
    postgres: &[kennel_storage::postgres::EVENTS, migration!("../../../migrations/postgres", 2, "0002_items")],
    #[cfg(feature = "mysql")]
    mysql: &[kennel_storage::mysql::EVENTS, migration!("../../../migrations/mysql", 2, "0002_items")],
    #[cfg(feature = "clickhouse")]
    clickhouse: &[kennel_storage::clickhouse::EVENTS, migration!("../../../migrations/clickhouse", 2, "0002_items")],
    ..Migrations::NONE
};

/// The items in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn items(database: &Database) -> Arc<dyn ItemRepository> {
    let inner: Arc<dyn ItemRepository> = match &database.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(engine) => Arc::new(sqlite::SqliteItems(engine.clone())),
        #[cfg(feature = "postgres")]
        Engine::Postgres(engine) => Arc::new(postgres::PostgresItems(engine.clone())),
        #[cfg(feature = "mysql")]
        Engine::Mysql(engine) => Arc::new(mysql::MysqlItems(engine.clone())),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(engine) => Arc::new(clickhouse::ClickHouseItems(engine.clone())),
        #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
        #[allow(unreachable_patterns)]
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
    };
    Arc::new(InstrumentedItemRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to an [`ItemRepository`].
struct InstrumentedItemRepository {
    inner: Arc<dyn ItemRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl ItemRepository for InstrumentedItemRepository {
    async fn insert(&self, item: &Item, events: &[Event]) -> Result<(), RepoError> {
        let span = database_span!(self.metrics.system(), "items", "insert", "items", item.id = %item.id);
        self.metrics.instrument("items.insert", span, self.inner.insert(item, events)).await
    }

    async fn find(&self, id: ItemId) -> Result<Option<Item>, RepoError> {
        let span = database_span!(self.metrics.system(), "items", "find", "items", item.id = %id);
        self.metrics.instrument("items.find", span, self.inner.find(id)).await
    }

    async fn list(&self, after: Option<ItemId>, limit: u32) -> Result<Vec<Item>, RepoError> {
        let span = database_span!(self.metrics.system(), "items", "list", "items", page.limit = limit);
        self.metrics.instrument("items.list", span, self.inner.list(after, limit)).await
    }

    async fn delete(&self, id: ItemId) -> Result<bool, RepoError> {
        let span = database_span!(self.metrics.system(), "items", "delete", "items", item.id = %id);
        self.metrics.instrument("items.delete", span, self.inner.delete(id)).await
    }
}

/// Reads the item in a row of any SQL database.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn read_item(row: &impl kennel_storage::Columns) -> Result<Item, RepoError> {
    use kennel_storage::classify;

    Ok(Item {
        id: ItemId(row.id("id").map_err(classify)?),
        text: row.text("text").map_err(classify)?.try_into().map_err(RepoError::corrupt)?,
        created_at: row.time("created_at").map_err(classify)?,
    })
}
