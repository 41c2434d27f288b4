//! Items in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

use async_trait::async_trait;
use kennel_core::{Event, RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, KeyRange, Record, RecordKey, RecordKind};
use serde::{Deserialize, Serialize};
use shop_domain::{Item, ItemId, ItemRepository};

const ITEM: RecordKind = RecordKind { name: "item", columns: "text, created_at" };

fn key(id: ItemId) -> RecordKey {
    ITEM.key(id.to_string())
}

/// The columns of an item, in addition to its key.
#[derive(Serialize, Deserialize)]
struct ItemRow {
    text: String,
    created_at: i64,
}

fn read(record: &Record) -> Result<Item, RepoError> {
    let row: ItemRow = record.read()?;
    Ok(Item {
        id: record.key.parse().map_err(RepoError::corrupt)?,
        text: row.text.try_into().map_err(RepoError::corrupt)?,
        created_at: Timestamp::from_millis(row.created_at).map_err(RepoError::corrupt)?,
    })
}

/// The items of a ClickHouse database.
pub(super) struct ClickHouseItems(pub(super) ClickHouse);

#[async_trait]
impl ItemRepository for ClickHouseItems {
    async fn insert(&self, item: &Item, events: &[Event]) -> Result<(), RepoError> {
        let (key, events) = (key(item.id), events.to_vec());
        let row = ItemRow { text: item.text.as_str().to_owned(), created_at: item.created_at.as_millis() };
        self.0
            .write(vec![key.clone()], move |write| {
                if write.get::<ItemRow>(&key)?.is_some() {
                    return Err(RepoError::Conflict);
                }
                write.put(&key, &row)?;
                write.append(&events)
            })
            .await
    }

    async fn find(&self, id: ItemId) -> Result<Option<Item>, RepoError> {
        let found = self.0.find(&[key(id)]).await?;
        found.values().next().map(read).transpose()
    }

    async fn list(&self, after: Option<ItemId>, limit: u32) -> Result<Vec<Item>, RepoError> {
        // Ids sort as text in the same order.
        let below = after.map(|id| id.to_string());
        let range = KeyRange { kind: ITEM, above: String::new(), below, descending: true };
        let found = self.0.scan(&range, limit as usize).await?;
        found.iter().map(read).collect()
    }

    async fn delete(&self, id: ItemId) -> Result<bool, RepoError> {
        let key = key(id);
        self.0
            .write(vec![key.clone()], move |write| {
                let exists = write.get::<ItemRow>(&key)?.is_some();
                if exists {
                    write.remove(&key);
                }
                Ok(exists)
            })
            .await
    }
}
