//! The inbox.

use std::collections::{HashMap, HashSet};

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

/// Adds receipts with `executor`, which may be a transaction's connection. Returns the events that had none.
pub async fn record_all(executor: impl PgExecutor<'_>, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
    let recorded: Vec<Uuid> = sqlx::query_scalar(
        // In one order for all processes, so that concurrent calls do not deadlock.
        "INSERT INTO inbox (group_name, event, created_at)
         SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS given (group_name, event, created_at)
         ORDER BY group_name, event
         ON CONFLICT DO NOTHING RETURNING event",
    )
    .bind(receipts.iter().map(|receipt| receipt.group.as_str()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|receipt| receipt.event).collect::<Vec<_>>())
    .bind(receipts.iter().map(|receipt| receipt.at.as_millis()).collect::<Vec<_>>())
    .fetch_all(executor)
    .await
    .map_err(classify)?;
    Ok(recorded.into_iter().collect())
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
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        let seen = || async {
            let sql = "SELECT event FROM inbox WHERE group_name = $1 AND event = ANY($2)";
            let seen = sqlx::query_scalar(sql).bind(group).bind(events).fetch_all(self.0.single());
            let seen: Vec<Uuid> = seen.await.map_err(classify)?;
            Ok(seen)
        };
        Ok(self.0.run(seen).await?.into_iter().collect())
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.0.run(|| record(self.0.single(), receipt)).await
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        self.0.run(|| record_all(self.0.single(), receipts)).await
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        let count = || async {
            // In one order for all processes, so that concurrent calls do not deadlock.
            let attempts: Vec<(Uuid, i64)> = sqlx::query_as(
                "INSERT INTO inbox_attempts AS known (group_name, event, attempts, last_attempt_at)
                 SELECT $1, event, 1, $3 FROM unnest($2::uuid[]) AS event ORDER BY event
                 ON CONFLICT (group_name, event) DO UPDATE SET
                     attempts = known.attempts + 1, last_attempt_at = excluded.last_attempt_at
                 RETURNING event, attempts",
            )
            .bind(group)
            .bind(events)
            .bind(now.as_millis())
            .fetch_all(self.0.single())
            .await
            .map_err(classify)?;
            Ok(attempts)
        };
        Ok(by_event(self.0.run(count).await?))
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        let attempts = || async {
            let sql = "SELECT event, attempts FROM inbox_attempts WHERE group_name = $1 AND event = ANY($2)";
            let attempts = sqlx::query_as(sql).bind(group).bind(events).fetch_all(self.0.single());
            let attempts: Vec<(Uuid, i64)> = attempts.await.map_err(classify)?;
            Ok(attempts)
        };
        Ok(by_event(self.0.run(attempts).await?))
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

fn by_event(attempts: Vec<(Uuid, i64)>) -> HashMap<Uuid, u32> {
    attempts.into_iter().map(|(event, attempts)| (event, u32::try_from(attempts).unwrap_or(u32::MAX))).collect()
}
