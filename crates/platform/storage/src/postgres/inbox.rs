//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Postgres, classify};

/// Adds a receipt with `executor`, which may be a transaction's connection. Returns false when it was already recorded.
pub async fn record(executor: impl PgExecutor<'_>, receipt: &Receipt) -> Result<bool, RepoError> {
    let recorded =
        sqlx::query("INSERT INTO inbox (group_name, event, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(&receipt.group)
            .bind(receipt.event)
            .bind(receipt.at.as_millis())
            .execute(executor)
            .await
            .map_err(classify)?;
    Ok(recorded.rows_affected() == 1)
}

/// The inbox of a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct PostgresInbox(Postgres);

impl PostgresInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Postgres) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for PostgresInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        let seen = || async {
            let (seen,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = $1 AND event = $2)")
                .bind(group)
                .bind(event)
                .fetch_one(self.0.single())
                .await
                .map_err(classify)?;
            Ok(seen)
        };
        self.0.run(seen).await
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.0.run(|| record(self.0.single(), receipt)).await
    }

    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        let begin = || async {
            let attempts: i64 = sqlx::query_scalar(
                "INSERT INTO inbox_attempts AS known (group_name, event, attempts, last_attempt_at)
                 VALUES ($1, $2, 1, $3)
                 ON CONFLICT (group_name, event) DO UPDATE SET
                     attempts = known.attempts + 1, last_attempt_at = excluded.last_attempt_at
                 RETURNING attempts",
            )
            .bind(group)
            .bind(event)
            .bind(now.as_millis())
            .fetch_one(self.0.single())
            .await
            .map_err(classify)?;
            Ok(attempts)
        };
        Ok(saturating(self.0.run(begin).await?))
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        let attempts = || async {
            let sql = "SELECT attempts FROM inbox_attempts WHERE group_name = $1 AND event = $2";
            let attempts: Option<i64> = sqlx::query_scalar(sql)
                .bind(group)
                .bind(event)
                .fetch_optional(self.0.single())
                .await
                .map_err(classify)?;
            Ok(attempts)
        };
        Ok(saturating(self.0.run(attempts).await?.unwrap_or(0)))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        let forget = || async {
            let sql = "WITH attempts AS (DELETE FROM inbox_attempts WHERE group_name = $1 AND event = $2)
                       DELETE FROM inbox WHERE group_name = $1 AND event = $2";
            sqlx::query(sql).bind(group).bind(event).execute(self.0.single()).await.map_err(classify)?;
            Ok(())
        };
        self.0.run(forget).await
    }
}

fn saturating(attempts: i64) -> u32 {
    u32::try_from(attempts).unwrap_or(u32::MAX)
}
