//! Items in the SQL databases, which differ only in their drivers.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Columns, SqlStore, SqlWrite as _, Statement, classify};
use shop_domain::{Item, ItemId, ItemRepository};

/// The items of a SQL database.
pub(super) struct SqlItems<S>(pub(super) S);

#[async_trait]
impl<S: SqlStore> ItemRepository for SqlItems<S> {
    async fn insert(&self, item: &Item, events: &[Event]) -> Result<(), RepoError> {
        let insert = || async {
            let mut write = self.0.write().await?;
            write.execute(insert(item)).await?;
            write.append(events).await?;
            write.commit().await
        };
        self.0.run(insert).await
    }

    async fn find(&self, id: ItemId) -> Result<Option<Item>, RepoError> {
        let find = || with_id("SELECT id, text, created_at FROM items WHERE id = ", id);
        Ok(self.0.select(find, read_item).await?.pop())
    }

    async fn list(&self, after: Option<ItemId>, limit: u32) -> Result<Vec<Item>, RepoError> {
        self.0.select(|| page(after, limit), read_item).await
    }

    async fn delete(&self, id: ItemId) -> Result<bool, RepoError> {
        Ok(self.0.execute(|| with_id("DELETE FROM items WHERE id = ", id)).await? == 1)
    }
}

fn insert<S: Statement>(item: &Item) -> S {
    let mut insert = S::new("INSERT INTO items (id, text, created_at) VALUES (");
    insert.id(item.id.0).sql(", ").text(item.text.as_str()).sql(", ").number(item.created_at.as_millis()).sql(")");
    insert
}

fn with_id<S: Statement>(sql: &str, id: ItemId) -> S {
    let mut statement = S::new(sql);
    statement.id(id.0);
    statement
}

fn page<S: Statement>(after: Option<ItemId>, limit: u32) -> S {
    let mut select = S::new("SELECT id, text, created_at FROM items");
    if let Some(after) = after {
        select.sql(" WHERE id < ").id(after.0);
    }
    select.sql(" ORDER BY id DESC LIMIT ").number(limit.into());
    select
}

fn read_item(row: &impl Columns) -> Result<Item, RepoError> {
    Ok(Item {
        id: ItemId(row.id("id").map_err(classify)?),
        text: row.text("text").map_err(classify)?.try_into().map_err(RepoError::corrupt)?,
        created_at: row.time("created_at").map_err(classify)?,
    })
}
