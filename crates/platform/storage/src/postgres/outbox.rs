//! The outbox.
//!
//! `(seq, ordinal)` is the order of changes. Transactions end in another order than they took their `seq`, so a row may
//! come to sight behind later ones; no one may remember how far it has read. The relay needs not: it asks for what is
//! not published. The events of a key are in order all the same, since a change takes its `seq` while it holds the lock
//! of the row that it changed.
//!
//! `position` is the order of publishing. It is given out under the lock of one row, which is held to the commit, so the
//! positions come to sight in their order, and who reads on from one misses nothing. An event that is replayed has a
//! second row, so that one who read up to its first publishing misses nothing in between.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Postgres, classify};
use crate::lease::{Lease, LeaseWatch, as_millis};

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
        let taken = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO outbox_lease (one, holder, until) VALUES (1, $1, {NOW} + $2)
             ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE outbox_lease.holder = excluded.holder OR outbox_lease.until <= {NOW}
                OR (outbox_lease.holder = $3 AND outbox_lease.until = $4)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.until))
        .execute(self.0.single())
        .await
        .map_err(classify)?;
        if taken.rows_affected() == 1 {
            return Ok(true);
        }
        let refusing = sqlx::query_as(AssertSqlSafe(format!("SELECT holder, until, {NOW} FROM outbox_lease")))
            .fetch_optional(self.0.single())
            .await
            .map_err(classify)?;
        if let Some((holder, until, now)) = refusing {
            self.1.observe(Lease { holder, until }, now, ttl);
        }
        Ok(false)
    }

    async fn try_pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NULL ORDER BY seq, ordinal LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.0.single())
        .await
        .map_err(classify)?;
        read_all(&rows, event)
    }

    async fn try_mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        sqlx::query(
            "WITH place AS (
                 UPDATE outbox_place SET position = position + cardinality($1::uuid[])
                 RETURNING position - cardinality($1::uuid[]) AS last
             )
             UPDATE outbox SET published_at = $2, position = place.last + given.ordinal
             FROM place, unnest($1::uuid[]) WITH ORDINALITY AS given (id, ordinal)
             WHERE outbox.id = given.id AND outbox.position IS NULL",
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
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE position IS NULL")
                .fetch_one(self.0.single())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn behind(&self, after: Uuid, limit: u32) -> Result<History, RepoError> {
        // One statement, so that a purge cannot come between finding the place and reading on from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position >= (SELECT min(position) FROM outbox WHERE id = $1 AND position IS NOT NULL)
             ORDER BY position LIMIT $2",
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
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NOT NULL ORDER BY position DESC LIMIT $1",
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
            Some(after) => self.0.run(|| self.behind(after, limit)).await,
            None => self.0.run(|| self.latest(limit)).await.map(History::Events),
        }
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let events = "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
                          SELECT ctid FROM outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2
                          FOR UPDATE SKIP LOCKED))";
        let receipts = "DELETE FROM inbox WHERE ctid = ANY (ARRAY(
                            SELECT ctid FROM inbox WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let attempts = "DELETE FROM inbox_attempts WHERE ctid = ANY (ARRAY(
                            SELECT ctid FROM inbox_attempts WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let mut removed = 0;
        for delete in [events, receipts, attempts] {
            removed += self.0.purge(delete, before, limit).await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        self.0.wake().wait(timeout).await;
    }
}
