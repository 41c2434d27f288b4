//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::records::{Place, RECEIPT};

/// The columns of a receipt.
#[derive(Serialize, Deserialize)]
pub(super) struct ReceiptRow {
    pub(super) at: i64,
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
}
