//! The outbox.
//!
//! `commit_seq` is the order of commits: rows are inserted under SQLite's single write lock. `publish_seq` is the order
//! of publishing. A replayed event has a second row, so that a reader whose position is its first publishing misses
//! nothing in between.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::inbox::json;
use super::{Sqlite, classify};
use crate::lease::{Lease, LeaseWatch, as_millis};
use crate::sql::SqlStore;

/// The process's clock, in milliseconds.
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
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        SqlStore::append(&self.0, events).await
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let abandoned = self.1.abandoned(ttl);
        let leased = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO outbox_lease (singleton, holder, expires_at) VALUES (1, ?1, {NOW} + ?2)
             ON CONFLICT (singleton) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE outbox_lease.holder = excluded.holder OR outbox_lease.expires_at <= {NOW}
                OR (outbox_lease.holder = ?3 AND outbox_lease.expires_at = ?4)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.expires_at))
        .execute(write.connection())
        .await
        .map_err(classify)?;
        if leased.rows_affected() == 0 {
            let (holder, expires_at, now) =
                sqlx::query_as(AssertSqlSafe(format!("SELECT holder, expires_at, {NOW} FROM outbox_lease")))
                    .fetch_one(write.connection())
                    .await
                    .map_err(classify)?;
            self.1.observe(Lease { holder, expires_at }, now, ttl);
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
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq LIMIT ?",
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
        let ids = json(ids)?;
        let mut write = self.0.write().await?;
        let (last,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(publish_seq), -1) FROM outbox WHERE publish_seq IS NOT NULL")
                .fetch_one(write.connection())
                .await
                .map_err(classify)?;
        sqlx::query(
            "UPDATE outbox SET published_at = ?1, publish_seq = ?2 + 1 + given.key FROM json_each(?3) AS given
             WHERE outbox.id = unhex(given.value) AND outbox.publish_seq IS NULL",
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
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL")
                .fetch_one(self.0.readers())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        let Some(after) = after else {
            return self.latest(limit).await.map(History::Events);
        };
        // One statement, so that a purge cannot run between finding the position and reading from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq >= (SELECT min(publish_seq) FROM outbox WHERE id = ?)
             ORDER BY publish_seq LIMIT ?",
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
        let events = "DELETE FROM outbox WHERE commit_seq IN
                      (SELECT commit_seq FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?)";
        let receipts = "DELETE FROM inbox WHERE (group_name, event) IN
                        (SELECT group_name, event FROM inbox WHERE created_at < ? ORDER BY created_at LIMIT ?)";
        let attempts = "DELETE FROM inbox_attempts WHERE (group_name, event) IN
                        (SELECT group_name, event FROM inbox_attempts
                         WHERE last_attempt_at < ? ORDER BY last_attempt_at LIMIT ?)";
        let mut removed = 0;
        for delete in [events, receipts, attempts] {
            removed += self.0.purge(delete, before, limit).await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        // A commit and a timeout both end the wait.
        drop(tokio::time::timeout(timeout, self.0.committed().notified()).await);
    }
}

impl SqliteOutbox {
    async fn latest(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let mut rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        rows.reverse();
        read_all(&rows, event)
    }
}
