//! The inbox.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::records::{ATTEMPTS, RECEIPT, RecordKey};

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
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        let keys: HashMap<_, _> = events.iter().map(|event| (receipt(group, *event), *event)).collect();
        let found = self.0.find(&keys.keys().cloned().collect::<Vec<_>>()).await?;
        Ok(found.keys().filter_map(|key| keys.get(key)).copied().collect())
    }

    async fn record(&self, given: &Receipt) -> Result<bool, RepoError> {
        let given = given.clone();
        self.0.write(vec![receipt(&given.group, given.event)], move |write| write.record(&given)).await
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        let keys = receipts.iter().map(|given| receipt(&given.group, given.event)).collect();
        let receipts = receipts.to_vec();
        self.0.write(keys, move |write| write.record_all(&receipts)).await
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        let keys: Vec<_> = events.iter().map(|event| (attempts(group, *event), *event)).collect();
        let recorded_at = now.as_millis();
        self.0
            .write(keys.iter().map(|(key, _)| key.clone()).collect(), move |write| {
                let mut counts = HashMap::new();
                for (key, event) in &keys {
                    let previous = write.get::<AttemptsRow>(key)?.map_or(0, |row| row.attempts);
                    let attempts = previous.saturating_add(1);
                    write.put(key, &AttemptsRow { attempts, recorded_at })?;
                    counts.insert(*event, attempts);
                }
                Ok(counts)
            })
            .await
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        let keys: HashMap<_, _> = events.iter().map(|event| (attempts(group, *event), *event)).collect();
        let found = self.0.find(&keys.keys().cloned().collect::<Vec<_>>()).await?;
        let mut counts = HashMap::new();
        for (key, record) in &found {
            if let Some(event) = keys.get(key) {
                counts.insert(*event, record.read::<AttemptsRow>()?.attempts);
            }
        }
        Ok(counts)
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
