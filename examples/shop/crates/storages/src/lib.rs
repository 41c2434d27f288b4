//! Items in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};
use shop_domain::{Item, ItemId, ItemRepository};

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../migrations", [(2, "0002_items")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
    #[cfg(feature = "clickhouse")]
    clickhouse,
};

/// The items in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn items(database: &Database) -> Arc<dyn ItemRepository> {
    let inner: Arc<dyn ItemRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlItems,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlItems,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlItems,
        #[cfg(feature = "clickhouse")]
        ClickHouse => clickhouse::ClickHouseItems,
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
