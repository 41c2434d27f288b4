//! Items in SQLite.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::sqlite::{Sqlite, classify};

use super::read_item;
use shop_domain::{Item, ItemId, ItemRepository};

/// The items of a SQLite database.
pub(super) struct SqliteItems(pub(super) Sqlite);

#[async_trait]
impl ItemRepository for SqliteItems {
    async fn insert(&self, item: &Item, events: &[Event]) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        sqlx::query("INSERT INTO items (id, text, created_at) VALUES (?, ?, ?)")
            .bind(item.id.0)
            .bind(item.text.as_str())
            .bind(item.created_at.as_millis())
            .execute(write.connection())
            .await
            .map_err(classify)?;
        write.append(events).await?;
        write.commit().await
    }

    async fn find(&self, id: ItemId) -> Result<Option<Item>, RepoError> {
        let select = sqlx::query("SELECT id, text, created_at FROM items WHERE id = ?").bind(id.0);
        let row = select.fetch_optional(self.0.readers()).await.map_err(classify)?;
        row.as_ref().map(read_item).transpose()
    }

    async fn list(&self, after: Option<ItemId>, limit: u32) -> Result<Vec<Item>, RepoError> {
        let select = match after {
            None => sqlx::query("SELECT id, text, created_at FROM items ORDER BY id DESC LIMIT ?"),
            Some(after) => sqlx::query("SELECT id, text, created_at FROM items WHERE id < ? ORDER BY id DESC LIMIT ?")
                .bind(after.0),
        };
        let rows = select.bind(limit).fetch_all(self.0.readers()).await.map_err(classify)?;
        rows.iter().map(read_item).collect()
    }

    async fn delete(&self, id: ItemId) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let delete = sqlx::query("DELETE FROM items WHERE id = ?").bind(id.0);
        let deleted = delete.execute(write.connection()).await.map_err(classify)?;
        write.commit().await?;
        Ok(deleted.rows_affected() == 1)
    }
}
