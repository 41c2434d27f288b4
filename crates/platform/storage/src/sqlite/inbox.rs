//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Sqlite, classify};

/// Adds a receipt within the transaction that `connection` is in. False when it was there already.
pub async fn record(connection: &mut SqliteConnection, receipt: &Receipt) -> Result<bool, RepoError> {
    let recorded = sqlx::query("INSERT INTO inbox (group_name, event, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(&receipt.group)
        .bind(receipt.event)
        .bind(receipt.at.as_millis())
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(recorded.rows_affected() == 1)
}

/// The inbox of a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteInbox(Sqlite);

impl SqliteInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Sqlite) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for SqliteInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        let (seen,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = ? AND event = ?)")
            .bind(group)
            .bind(event)
            .fetch_one(self.0.readers())
            .await
            .map_err(classify)?;
        Ok(seen)
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let recorded = write.record(receipt).await?;
        write.commit().await?;
        Ok(recorded)
    }
}
