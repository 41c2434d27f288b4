//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::records::{ATTEMPTS, RECEIPT, Record, RecordKey};

/// The columns of a receipt; an attempt count has them too.
#[derive(Serialize, Deserialize)]
pub(super) struct ReceiptRow {
    pub(super) recorded_at: i64,
}

/// The columns of an attempt count.
#[derive(Serialize, Deserialize)]
struct AttemptsRow {
    attempts: u32,
    recorded_at: i64,
}

fn attempts(group: &str, event: Uuid) -> RecordKey {
    ATTEMPTS.key(format!("{event}/{group}"))
}

/// The key of the receipt of a group for an event; a write that records it must have this key in `reads`.
pub fn receipt(group: &str, event: Uuid) -> RecordKey {
    RECEIPT.key(format!("{event}/{group}"))
}

/// The inbox of a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseInbox(ClickHouse);

impl ClickHouseInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: ClickHouse) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for ClickHouseInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        Ok(!self.0.find(&[receipt(group, event)]).await?.is_empty())
    }

    async fn record(&self, given: &Receipt) -> Result<bool, RepoError> {
        let given = given.clone();
        self.0.write(vec![receipt(&given.group, given.event)], move |write| write.record(&given)).await
    }

    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        let (key, recorded_at) = (attempts(group, event), now.as_millis());
        self.0
            .write(vec![key.clone()], move |write| {
                let previous = write.get::<AttemptsRow>(&key)?.map_or(0, |row| row.attempts);
                let attempts = previous.saturating_add(1);
                write.put(&key, &AttemptsRow { attempts, recorded_at })?;
                Ok(attempts)
            })
            .await
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        let key = attempts(group, event);
        let found = self.0.find(std::slice::from_ref(&key)).await?;
        let row: Option<AttemptsRow> = found.get(&key).map(Record::read).transpose()?;
        Ok(row.map_or(0, |row| row.attempts))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        let keys = [attempts(group, event), receipt(group, event)];
        self.0
            .write(keys.to_vec(), move |write| {
                for key in &keys {
                    if let Some(row) = write.get::<ReceiptRow>(key)? {
                        write.remove_dated(key, &row)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
