//! The outbox.
//!
//! `(commit_seq, ordinal)` is the order of changes. Transactions commit in a different order than they take their
//! `commit_seq`, so a row can become visible after rows with a higher number. A reader therefore must not store a
//! position in it. The relay does not: it selects unpublished rows. The events of one key are still in order, because a
//! change takes its `commit_seq` while it has locked the row that it changed.
//!
//! `publish_seq` is the order of publishing. It is assigned under a row lock that lasts until the commit, so the
//! numbers become visible in their order, and a reader that continues from one misses nothing. A replayed event has a
//! second row, so that a reader whose position is its first publishing misses nothing in between.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Postgres, classify};
use crate::lease::{Lease, LeaseWatch, as_millis};
use crate::sql::SqlStore;

/// The server's clock, in milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The outbox of a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct PostgresOutbox(Postgres, LeaseWatch);

impl PostgresOutbox {
    /// The outbox in `database`, which has the tables of [`super::EVENTS`].
    pub fn new(database: Postgres) -> Self {
        Self(database, LeaseWatch::default())
    }

    async fn try_lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let abandoned = self.1.abandoned(ttl);
        let leased = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO outbox_lease (singleton, holder, expires_at) VALUES (1, $1, {NOW} + $2)
             ON CONFLICT (singleton) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE outbox_lease.holder = excluded.holder OR outbox_lease.expires_at <= {NOW}
                OR (outbox_lease.holder = $3 AND outbox_lease.expires_at = $4)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.expires_at))
        .execute(self.0.single())
        .await
        .map_err(classify)?;
        if leased.rows_affected() == 1 {
            return Ok(true);
        }
        let refusing = sqlx::query_as(AssertSqlSafe(format!("SELECT holder, expires_at, {NOW} FROM outbox_lease")))
            .fetch_optional(self.0.single())
            .await
            .map_err(classify)?;
        if let Some((holder, expires_at, now)) = refusing {
            self.1.observe(Lease { holder, expires_at }, now, ttl);
        }
        Ok(false)
    }

    async fn try_pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq, ordinal LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.0.single())
        .await
        .map_err(classify)?;
        read_all(&rows, event)
    }

    async fn try_mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        sqlx::query(
            "WITH counter AS (
                 UPDATE outbox_position SET publish_seq = publish_seq + cardinality($1::uuid[])
                 RETURNING publish_seq - cardinality($1::uuid[]) AS last
             )
             UPDATE outbox SET published_at = $2, publish_seq = counter.last + given.ordinal
             FROM counter, unnest($1::uuid[]) WITH ORDINALITY AS given (id, ordinal)
             WHERE outbox.id = given.id AND outbox.publish_seq IS NULL",
        )
        .bind(ids)
        .bind(now.as_millis())
        .execute(self.0.single())
        .await
        .map_err(classify)?;
        Ok(())
    }

    async fn try_backlog(&self) -> Result<Backlog, RepoError> {
        let (pending, oldest): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL")
                .fetch_one(self.0.single())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn published_after(&self, after: Uuid, limit: u32) -> Result<History, RepoError> {
        // One statement, so that a purge cannot run between finding the position and reading from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq >=
                 (SELECT min(publish_seq) FROM outbox WHERE id = $1 AND publish_seq IS NOT NULL)
             ORDER BY publish_seq LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(self.0.single())
        .await
        .map_err(classify)?;
        match rows.split_first() {
            None => Ok(History::UnknownEvent),
            Some((_, newer)) => read_all(newer, event).map(History::Events),
        }
    }

    async fn latest(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let mut rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.0.single())
        .await
        .map_err(classify)?;
        rows.reverse();
        read_all(&rows, event)
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        SqlStore::append(&self.0, events).await
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        self.0.run(|| self.try_lease(holder, ttl)).await
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let release = || async {
            let delete = sqlx::query("DELETE FROM outbox_lease WHERE holder = $1").bind(holder);
            delete.execute(self.0.single()).await.map_err(classify)?;
            Ok(())
        };
        self.0.run(release).await
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        self.0.run(|| self.try_pending(limit)).await
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.0.run(|| self.try_mark(ids, now)).await
    }

    async fn backlog(&self) -> Result<Backlog, RepoError> {
        self.0.run(|| self.try_backlog()).await
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        match after {
            Some(after) => self.0.run(|| self.published_after(after, limit)).await,
            None => self.0.run(|| self.latest(limit)).await.map(History::Events),
        }
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let events = "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
                          SELECT ctid FROM outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2
                          FOR UPDATE SKIP LOCKED))";
        let receipts = "DELETE FROM inbox WHERE ctid = ANY (ARRAY(
                            SELECT ctid FROM inbox WHERE created_at < $1 ORDER BY created_at LIMIT $2
                            FOR UPDATE SKIP LOCKED))";
        let attempts = "DELETE FROM inbox_attempts WHERE ctid = ANY (ARRAY(
                            SELECT ctid FROM inbox_attempts WHERE last_attempt_at < $1 ORDER BY last_attempt_at LIMIT $2
                            FOR UPDATE SKIP LOCKED))";
        let mut removed = 0;
        for delete in [events, receipts, attempts] {
            removed += self.0.purge(delete, before, limit).await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        self.0.notifier().wait(timeout).await;
    }
}
