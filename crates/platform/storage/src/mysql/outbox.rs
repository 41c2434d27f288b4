//! The outbox.
//!
//! `commit_seq` is the order of changes. Transactions commit in a different order than they take their `commit_seq`, so
//! a row can become visible after rows with a higher number. A reader therefore must not store a position in it. The
//! relay does not: it selects unpublished rows. The events of one key are still in order, because a change takes its
//! `commit_seq` while it has locked the row that it changed. This requires a single writing server: several would
//! assign numbers independently.
//!
//! `publish_seq` is the order of publishing. It is assigned under a row lock that lasts until the commit, so the
//! numbers become visible in their order, and a reader that continues from one misses nothing. A replayed event has a
//! second row, so that a reader whose position is its first publishing misses nothing in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use kennel_telemetry::as_i64;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{MAX_IDS, Mysql, classify, json_array};
use crate::lease::{Lease, LeaseWatch, as_millis};
use crate::sql::SqlStore;

/// How often a waiting outbox polls for events that other processes committed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The server's clock, in milliseconds.
const NOW: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000";

/// The outbox of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlOutbox(Mysql, LeaseWatch);

impl MysqlOutbox {
    /// The outbox in `database`, which has the tables of [`super::EVENTS`].
    pub fn new(database: Mysql) -> Self {
        Self(database, LeaseWatch::default())
    }

    async fn try_lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let abandoned = self.1.abandoned(ttl);
        let leased = sqlx::query(AssertSqlSafe(format!(
            "UPDATE outbox_lease SET holder = ?, expires_at = {NOW} + ?
             WHERE holder = ? OR expires_at <= {NOW} OR (holder = ? AND expires_at = ?)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(holder)
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.expires_at))
        .execute(self.0.pool())
        .await
        .map_err(classify)?;
        if leased.rows_affected() == 1 {
            return Ok(true);
        }
        let (holder, expires_at, now) =
            sqlx::query_as(AssertSqlSafe(format!("SELECT holder, expires_at, {NOW} FROM outbox_lease")))
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
        self.1.observe(Lease { holder, expires_at }, now, ttl);
        Ok(false)
    }

    async fn try_pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        read_all(&rows, event)
    }

    async fn try_mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let count = i64::try_from(ids.len()).map_err(|error| RepoError::Backend(error.into()))?;
        let mut write = self.0.write().await?;
        sqlx::query("UPDATE outbox_position SET publish_seq = publish_seq + ?")
            .bind(count)
            .execute(write.connection())
            .await
            .map_err(classify)?;
        let (last,): (i64,) = sqlx::query_as("SELECT publish_seq FROM outbox_position")
            .fetch_one(write.connection())
            .await
            .map_err(classify)?;
        let mut before = last - count;
        for ids in ids.chunks(MAX_IDS) {
            // FORCE INDEX, however small the table is: a full scan would wait for locks on uncommitted rows.
            sqlx::query(
                "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (ordinal FOR ORDINALITY, id CHAR(32) PATH '$')) AS given
                 STRAIGHT_JOIN outbox FORCE INDEX (outbox_pending_id) ON outbox.pending_id = UNHEX(given.id)
                 SET outbox.publish_seq = ? + given.ordinal, outbox.published_at = ?",
            )
            .bind(json_array(ids.iter().copied())?)
            .bind(before)
            .bind(now.as_millis())
            .execute(write.connection())
            .await
            .map_err(classify)?;
            before += as_i64(ids.len());
        }
        write.commit().await
    }

    async fn try_backlog(&self) -> Result<Backlog, RepoError> {
        let (pending, oldest): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL")
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn published_after(&self, after: Uuid, limit: u32) -> Result<History, RepoError> {
        // One statement, so that a purge cannot run between finding the position and reading from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq >= (SELECT min(publish_seq) FROM outbox WHERE id = ?)
             ORDER BY publish_seq LIMIT ?",
        )
        .bind(after)
        .bind(u64::from(limit) + 1)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        match rows.split_first() {
            None => Ok(History::UnknownEvent),
            Some((_, newer)) => read_all(newer, event).map(History::Events),
        }
    }

    async fn latest(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let mut rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate
             FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        rows.reverse();
        read_all(&rows, event)
    }

    /// Returns after another process has committed events.
    async fn commit_elsewhere(&self) {
        loop {
            // Sleep first: the caller has just polled.
            sleep(POLL_INTERVAL).await;
            // Other calls report a server that is unavailable.
            let Ok(Ok(Some(last))) = last_commit_seq(self.0.clone()).await else { continue };
            if self.0.commits().last_seen_seq.fetch_max(last, Ordering::Relaxed) < last {
                return;
            }
        }
    }
}

/// The `commit_seq` of the last event. Runs as its own task, so that it completes although the waiting caller is
/// cancelled when this process commits: a cancelled call costs its connection.
#[expect(clippy::disallowed_methods, reason = "limited in time")]
fn last_commit_seq(database: Mysql) -> JoinHandle<Result<Option<u64>, RepoError>> {
    tokio::spawn(async move {
        let ask = || async {
            let last = sqlx::query_scalar("SELECT max(commit_seq) FROM outbox").fetch_one(database.pool());
            last.await.map_err(classify)
        };
        database.run(ask).await
    })
}

#[async_trait]
impl Outbox for MysqlOutbox {
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        SqlStore::append(&self.0, events).await
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        self.0.run(|| self.try_lease(holder, ttl)).await
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let release = || async {
            let end =
                sqlx::query("UPDATE outbox_lease SET expires_at = ? WHERE holder = ?").bind(i64::MIN).bind(holder);
            end.execute(self.0.pool()).await.map_err(classify)?;
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
        let events = "DELETE FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?";
        let receipts = "DELETE FROM inbox WHERE created_at < ? ORDER BY created_at LIMIT ?";
        let attempts = "DELETE FROM inbox_attempts WHERE last_attempt_at < ? ORDER BY last_attempt_at LIMIT ?";
        let mut removed = 0;
        for delete in [events, receipts, attempts] {
            removed += self.0.purge(delete, before, limit).await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        let commit = async {
            tokio::select! {
                biased;
                () = self.0.commits().committed.notified() => {}
                () = self.commit_elsewhere() => {}
            }
        };
        // A commit and a timeout both end the wait.
        drop(tokio::time::timeout(timeout, commit).await);
    }
}
