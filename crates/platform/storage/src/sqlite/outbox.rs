//! The outbox.
//!
//! `seq` is the order of commits: rows are added under SQLite's one write lock. `position` is the order of
//! publishing. An event that is replayed has a second row, so that one who read up to its first publishing misses
//! nothing in between.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Sqlite, classify};
use crate::lease::{Lease, LeaseWatch, as_millis};

/// The clock, in milliseconds.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The outbox of a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteOutbox(Sqlite, LeaseWatch);

impl SqliteOutbox {
    /// The outbox in `database`, which has the tables of [`super::EVENTS`].
    pub fn new(database: Sqlite) -> Self {
        Self(database, LeaseWatch::default())
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let abandoned = self.1.abandoned(ttl);
        let taken = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO outbox_lease (one, holder, until) VALUES (1, ?1, {NOW} + ?2)
             ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE outbox_lease.holder = excluded.holder OR outbox_lease.until <= {NOW}
                OR (outbox_lease.holder = ?3 AND outbox_lease.until = ?4)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.until))
        .execute(write.connection())
        .await
        .map_err(classify)?;
        if taken.rows_affected() == 0 {
            let (holder, until, now) =
                sqlx::query_as(AssertSqlSafe(format!("SELECT holder, until, {NOW} FROM outbox_lease")))
                    .fetch_one(write.connection())
                    .await
                    .map_err(classify)?;
            self.1.observe(Lease { holder, until }, now, ttl);
            return Ok(false);
        }
        write.commit().await?;
        Ok(true)
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        sqlx::query("DELETE FROM outbox_lease WHERE holder = ?")
            .bind(holder)
            .execute(write.connection())
            .await
            .map_err(classify)?;
        write.commit().await
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NULL ORDER BY seq LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        read_all(&rows, event)
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = ids.iter().map(|id| id.simple()).collect();
        let ids = serde_json::to_string(&ids).map_err(|error| RepoError::Backend(error.into()))?;
        let mut write = self.0.write().await?;
        let (last,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(position), -1) FROM outbox WHERE position IS NOT NULL")
                .fetch_one(write.connection())
                .await
                .map_err(classify)?;
        sqlx::query(
            "UPDATE outbox SET published_at = ?1, position = ?2 + 1 + given.key FROM json_each(?3) AS given
             WHERE outbox.id = unhex(given.value) AND outbox.position IS NULL",
        )
        .bind(now.as_millis())
        .bind(last)
        .bind(ids)
        .execute(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await
    }

    async fn backlog(&self) -> Result<Backlog, RepoError> {
        let (pending, oldest): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE position IS NULL")
                .fetch_one(self.0.readers())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        let Some(after) = after else {
            return self.latest(limit).await.map(History::Events);
        };
        // One statement, so that a purge cannot come between finding the place and reading on from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position >= (SELECT min(position) FROM outbox WHERE id = ?)
             ORDER BY position LIMIT ?",
        )
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        match rows.split_first() {
            None => Ok(History::UnknownEvent),
            Some((_, newer)) => read_all(newer, event).map(History::Events),
        }
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let events = "DELETE FROM outbox WHERE seq IN
                      (SELECT seq FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?)";
        let receipts = "DELETE FROM inbox WHERE (group_name, event) IN
                        (SELECT group_name, event FROM inbox WHERE at < ? ORDER BY at LIMIT ?)";
        let attempts = "DELETE FROM inbox_attempts WHERE (group_name, event) IN
                        (SELECT group_name, event FROM inbox_attempts WHERE at < ? ORDER BY at LIMIT ?)";
        let mut removed = 0;
        for delete in [events, receipts, attempts] {
            removed += self.0.purge(delete, before, limit).await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        // Both ends of the wait are good ones.
        drop(tokio::time::timeout(timeout, self.0.committed().notified()).await);
    }
}

impl SqliteOutbox {
    async fn latest(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let mut rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NOT NULL ORDER BY position DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        rows.reverse();
        read_all(&rows, event)
    }
}
