//! The outbox.
//!
//! `seq` is the order of changes. Transactions end in another order than they took their `seq`, so a row may come to
//! sight behind later ones; no one may remember how far it has read. The relay needs not: it asks for what is not
//! published. The events of a key are in order all the same, since a change takes its `seq` while it holds the lock of
//! the row that it changed. This takes one server that writes: several hand out numbers each for itself.
//!
//! `position` is the order of publishing. It is given out under the lock of one row, which is held to the commit, so the
//! positions come to sight in their order, and who reads on from one misses nothing. An event that is replayed has a
//! second row, so that one who read up to its first publishing misses nothing in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Mysql, classify};
use crate::lease::{Lease, LeaseWatch, as_millis};

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
        let taken = sqlx::query(AssertSqlSafe(format!(
            "UPDATE outbox_lease SET holder = ?, until = {NOW} + ?
             WHERE holder = ? OR until <= {NOW} OR (holder = ? AND until = ?)"
        )))
        .bind(holder)
        .bind(as_millis(ttl))
        .bind(holder)
        .bind(abandoned.map(|lease| lease.holder))
        .bind(abandoned.map(|lease| lease.until))
        .execute(self.0.pool())
        .await
        .map_err(classify)?;
        if taken.rows_affected() == 1 {
            return Ok(true);
        }
        let (holder, until, now) =
            sqlx::query_as(AssertSqlSafe(format!("SELECT holder, until, {NOW} FROM outbox_lease")))
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
        self.1.observe(Lease { holder, until }, now, ttl);
        Ok(false)
    }

    async fn try_pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NULL ORDER BY seq LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        read_all(&rows, event)
    }

    async fn try_mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let count = i64::try_from(ids.len()).map_err(|error| RepoError::Backend(error.into()))?;
        let given: Vec<_> = ids.iter().map(|id| id.simple()).collect();
        let given = serde_json::to_string(&given).map_err(|error| RepoError::Backend(error.into()))?;
        let mut write = self.0.write().await?;
        sqlx::query("UPDATE outbox_place SET position = position + ?")
            .bind(count)
            .execute(write.connection())
            .await
            .map_err(classify)?;
        let (last,): (i64,) = sqlx::query_as("SELECT position FROM outbox_place")
            .fetch_one(write.connection())
            .await
            .map_err(classify)?;
        // By the index, however small the table is: a walk of all rows would wait for those not committed yet.
        sqlx::query(
            "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (ordinal FOR ORDINALITY, id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN outbox FORCE INDEX (outbox_waiting_id) ON outbox.waiting_id = UNHEX(given.id)
             SET outbox.position = ? + given.ordinal, outbox.published_at = ?",
        )
        .bind(given)
        .bind(last - count)
        .bind(now.as_millis())
        .execute(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await
    }

    async fn try_backlog(&self) -> Result<Backlog, RepoError> {
        let (pending, oldest): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(time) FROM outbox WHERE position IS NULL")
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
        Ok(Backlog { pending: pending.unsigned_abs(), oldest: oldest.map(timestamp).transpose().map_err(classify)? })
    }

    async fn behind(&self, after: Uuid, limit: u32) -> Result<History, RepoError> {
        // One statement, so that a purge cannot come between finding the place and reading on from it.
        let rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, data, traceparent, tracestate
             FROM outbox WHERE position >= (SELECT min(position) FROM outbox WHERE id = ?)
             ORDER BY position LIMIT ?",
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
            "SELECT id, name, source, topic, `key`, time, data, traceparent, tracestate
             FROM outbox WHERE position IS NOT NULL ORDER BY position DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        rows.reverse();
        read_all(&rows, event)
    }

    /// Returns when another process has committed events.
    async fn others_commit(&self) {
        loop {
            // Looking comes after the pause, for the one who waits has looked by itself just now.
            sleep(self.0.poll()).await;
            // A server that is away is noticed by whoever asks it for more than this.
            let Ok(Ok(Some(last))) = last(self.0.clone()).await else { continue };
            if self.0.wake().seen.fetch_max(last, Ordering::Relaxed) < last {
                return;
            }
        }
    }
}

/// The `seq` of the last event. It is asked for to the end, though whoever waits for it turns away when this process
/// commits: a call that is cut short costs its connection.
#[expect(clippy::disallowed_methods, reason = "limited in time")]
fn last(database: Mysql) -> JoinHandle<Result<Option<u64>, RepoError>> {
    tokio::spawn(async move {
        let ask = || async {
            let last = sqlx::query_scalar("SELECT max(seq) FROM outbox").fetch_one(database.pool());
            last.await.map_err(classify)
        };
        database.run(ask).await
    })
}

#[async_trait]
impl Outbox for MysqlOutbox {
    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        self.0.run(|| self.try_lease(holder, ttl)).await
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let release = || async {
            let end = sqlx::query("UPDATE outbox_lease SET until = ? WHERE holder = ?").bind(i64::MIN).bind(holder);
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
            Some(after) => self.0.run(|| self.behind(after, limit)).await,
            None => self.0.run(|| self.latest(limit)).await.map(History::Events),
        }
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let events = "DELETE FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?";
        let receipts = "DELETE FROM inbox WHERE at < ? ORDER BY at LIMIT ?";
        let attempts = "DELETE FROM inbox_attempts WHERE at < ? ORDER BY at LIMIT ?";
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
                () = self.0.wake().committed.notified() => {}
                () = self.others_commit() => {}
            }
        };
        // Both ends of the wait are good ones.
        drop(tokio::time::timeout(timeout, commit).await);
    }
}
