//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::records::{ATTEMPTS, Found, Place, RECEIPT};

/// The columns of a receipt; counted attempts have them as well.
#[derive(Serialize, Deserialize)]
pub(super) struct ReceiptRow {
    pub(super) at: i64,
}

/// The columns of counted attempts.
#[derive(Serialize, Deserialize)]
struct AttemptsRow {
    attempts: u32,
    at: i64,
}

fn attempts(group: &str, event: Uuid) -> Place {
    ATTEMPTS.at(format!("{event}/{group}"))
}

/// Where the receipt of a group for an event is; a write that records it asks for this place.
pub fn receipt(group: &str, event: Uuid) -> Place {
    RECEIPT.at(format!("{event}/{group}"))
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
        let (place, at) = (attempts(group, event), now.as_millis());
        self.0
            .write(vec![place.clone()], move |write| {
                let begun = write.get::<AttemptsRow>(&place)?.map_or(0, |row| row.attempts);
                let attempts = begun.saturating_add(1);
                write.put(&place, &AttemptsRow { attempts, at })?;
                Ok(attempts)
            })
            .await
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        let place = attempts(group, event);
        let found = self.0.find(std::slice::from_ref(&place)).await?;
        let row: Option<AttemptsRow> = found.get(&place).map(Found::read).transpose()?;
        Ok(row.map_or(0, |row| row.attempts))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        let places = [attempts(group, event), receipt(group, event)];
        self.0
            .write(places.to_vec(), move |write| {
                for place in &places {
                    if let Some(row) = write.get::<ReceiptRow>(place)? {
                        write.remove_dated(place, &row)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
