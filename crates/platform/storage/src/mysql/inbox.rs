//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use sqlx::MySqlExecutor;
use uuid::Uuid;

use super::{Mysql, classify};

/// Adds a receipt with `executor`, which may be a transaction's connection. Returns false when it was already recorded.
pub async fn record(executor: impl MySqlExecutor<'_>, receipt: &Receipt) -> Result<bool, RepoError> {
    // Not `INSERT IGNORE`, which would truncate a group name that is too long instead of rejecting it.
    let recorded = sqlx::query("INSERT INTO inbox (group_name, event, created_at) VALUES (?, ?, ?)")
        .bind(receipt.group.as_bytes())
        .bind(receipt.event)
        .bind(receipt.at.as_millis())
        .execute(executor)
        .await
        .map_err(classify);
    match recorded {
        Ok(_) => Ok(true),
        Err(RepoError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds one attempt; returns the new number of attempts.
async fn count(database: &Mysql, group: &str, event: Uuid, now: Timestamp) -> Result<i64, RepoError> {
    let mut write = database.write().await?;
    sqlx::query(
        "INSERT INTO inbox_attempts (group_name, event, attempts, last_attempt_at) VALUES (?, ?, 1, ?)
         ON DUPLICATE KEY UPDATE attempts = attempts + 1, last_attempt_at = VALUES(last_attempt_at)",
    )
    .bind(group.as_bytes())
    .bind(event)
    .bind(now.as_millis())
    .execute(write.connection())
    .await
    .map_err(classify)?;
    let attempts = sqlx::query_scalar("SELECT attempts FROM inbox_attempts WHERE group_name = ? AND event = ?")
        .bind(group.as_bytes())
        .bind(event)
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
    write.commit().await?;
    Ok(attempts)
}

async fn forget(database: &Mysql, group: &str, event: Uuid) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    for forget in [
        "DELETE FROM inbox_attempts WHERE group_name = ? AND event = ?",
        "DELETE FROM inbox WHERE group_name = ? AND event = ?",
    ] {
        let deleted = sqlx::query(forget).bind(group.as_bytes()).bind(event).execute(write.connection());
        deleted.await.map_err(classify)?;
    }
    write.commit().await
}

/// The inbox of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlInbox(Mysql);

impl MysqlInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Mysql) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for MysqlInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        let seen = || async {
            let (seen,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = ? AND event = ?)")
                .bind(group.as_bytes())
                .bind(event)
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
            Ok(seen)
        };
        self.0.run(seen).await
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.0.run(|| record(self.0.pool(), receipt)).await
    }

    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        Ok(saturating(self.0.run(|| count(&self.0, group, event, now)).await?))
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        let attempts = || async {
            let sql = "SELECT attempts FROM inbox_attempts WHERE group_name = ? AND event = ?";
            let found = sqlx::query_scalar(sql).bind(group.as_bytes()).bind(event).fetch_optional(self.0.pool());
            let attempts: Option<i64> = found.await.map_err(classify)?;
            Ok(attempts)
        };
        Ok(saturating(self.0.run(attempts).await?.unwrap_or(0)))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        self.0.run(|| forget(&self.0, group, event)).await
    }
}

fn saturating(attempts: i64) -> u32 {
    u32::try_from(attempts).unwrap_or(u32::MAX)
}
