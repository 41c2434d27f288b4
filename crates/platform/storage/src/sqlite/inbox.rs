//! The inbox.

use std::collections::{HashMap, HashSet};

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

/// Adds receipts within the transaction that `connection` is in. Returns the events that had none.
pub async fn record_all(connection: &mut SqliteConnection, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
    let row = |receipt: &Receipt| (receipt.group.clone(), receipt.event.simple(), receipt.at.as_millis());
    let rows: Vec<_> = receipts.iter().map(row).collect();
    let recorded: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO inbox (group_name, event, created_at)
         SELECT value ->> 0, unhex(value ->> 1), value ->> 2 FROM json_each(?) WHERE true
         ON CONFLICT DO NOTHING RETURNING event",
    )
    .bind(serde_json::to_string(&rows).map_err(|error| RepoError::Backend(error.into()))?)
    .fetch_all(connection)
    .await
    .map_err(classify)?;
    Ok(recorded.into_iter().collect())
}

/// Returns ids as an array of their hexadecimal digits.
pub(super) fn json(ids: &[Uuid]) -> Result<String, RepoError> {
    let ids: Vec<_> = ids.iter().map(|id| id.simple()).collect();
    serde_json::to_string(&ids).map_err(|error| RepoError::Backend(error.into()))
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
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        let seen: Vec<Uuid> = sqlx::query_scalar(
            "SELECT event FROM inbox WHERE group_name = ? AND event IN (SELECT unhex(value) FROM json_each(?))",
        )
        .bind(group)
        .bind(json(events)?)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        Ok(seen.into_iter().collect())
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let recorded = write.record(receipt).await?;
        write.commit().await?;
        Ok(recorded)
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        let mut write = self.0.write().await?;
        let recorded = write.record_all(receipts).await?;
        write.commit().await?;
        Ok(recorded)
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        let mut write = self.0.write().await?;
        let attempts: Vec<(Uuid, u32)> = sqlx::query_as(
            "INSERT INTO inbox_attempts (group_name, event, attempts, last_attempt_at)
             SELECT ?, unhex(value), 1, ? FROM json_each(?) WHERE true
             ON CONFLICT DO UPDATE SET attempts = attempts + 1, last_attempt_at = excluded.last_attempt_at
             RETURNING event, attempts",
        )
        .bind(group)
        .bind(now.as_millis())
        .bind(json(events)?)
        .fetch_all(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await?;
        Ok(attempts.into_iter().collect())
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        let attempts: Vec<(Uuid, u32)> = sqlx::query_as(
            "SELECT event, attempts FROM inbox_attempts
             WHERE group_name = ? AND event IN (SELECT unhex(value) FROM json_each(?))",
        )
        .bind(group)
        .bind(json(events)?)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        Ok(attempts.into_iter().collect())
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
