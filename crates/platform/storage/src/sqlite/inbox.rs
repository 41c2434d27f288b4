//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Sqlite, classify};

/// Adds a receipt within the transaction that `connection` is in. Returns false when it was already recorded.
pub async fn record(connection: &mut SqliteConnection, receipt: &Receipt) -> Result<bool, RepoError> {
    let recorded =
        sqlx::query("INSERT INTO inbox (group_name, event, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
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

    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        let mut write = self.0.write().await?;
        let (attempts,) = sqlx::query_as(
            "INSERT INTO inbox_attempts (group_name, event, attempts, last_attempt_at) VALUES (?, ?, 1, ?)
             ON CONFLICT DO UPDATE SET attempts = attempts + 1, last_attempt_at = excluded.last_attempt_at
             RETURNING attempts",
        )
        .bind(group)
        .bind(event)
        .bind(now.as_millis())
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await?;
        Ok(attempts)
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        let attempts = sqlx::query_scalar("SELECT attempts FROM inbox_attempts WHERE group_name = ? AND event = ?")
            .bind(group)
            .bind(event)
            .fetch_optional(self.0.readers())
            .await
            .map_err(classify)?;
        Ok(attempts.unwrap_or(0))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        for forget in [
            "DELETE FROM inbox_attempts WHERE group_name = ? AND event = ?",
            "DELETE FROM inbox WHERE group_name = ? AND event = ?",
        ] {
            sqlx::query(forget).bind(group).bind(event).execute(write.connection()).await.map_err(classify)?;
        }
        write.commit().await
    }
}
