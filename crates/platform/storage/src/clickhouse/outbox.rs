//! The outbox.
//!
//! A pending event is a record whose key is its commit and its position in it: the order of commits. Publishing removes
//! this record and adds a published one, in one commit; the keys of published records are the order of publishing. So
//! neither list needs a join, and reading pending events starts after the published ones. A replayed event becomes
//! pending and then published a second time, so that a reader whose position is its first publishing misses nothing in
//! between.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Outbox, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::events::{EventRow, timestamp};
use super::pool::KeyRange;
use super::records::{EVENT, LEASE, PUBLISHED, Record, RecordKey, padded};
use crate::lease::{Lease, LeaseWatch, as_millis};

/// Number of commit records to retain, so that their writers can find out whether they won. At least as many as the
/// server has deduplication tokens.
const RETAINED_COMMITS: u64 = 10_000;
/// The key of the relay's lease.
const RELAY: &str = "relay";
/// Maximum number of events marked per commit.
const MAX_MARKED_PER_COMMIT: usize = 5_000;

/// The outbox of a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseOutbox {
    database: ClickHouse,
    /// All events with keys up to this one are published.
    published_up_to: Arc<Mutex<String>>,
    lease: LeaseWatch,
}

/// The columns of the lease. It has its own versions, outside of commits, so that a renewal never waits for queued
/// writes.
#[derive(Deserialize)]
struct StoredLease {
    holder: Uuid,
    expires_at: i64,
    version: u64,
}

#[derive(Serialize)]
struct LeaseRow {
    holder: Uuid,
    expires_at: i64,
}

/// The columns of a published event.
#[derive(Serialize, Deserialize)]
struct PublishedRow {
    #[serde(flatten)]
    event: EventRow,
    recorded_at: i64,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

impl ClickHouseOutbox {
    /// The outbox in `database`, which has the tables of [`super::EVENTS`].
    pub fn new(database: ClickHouse) -> Self {
        Self { database, published_up_to: Arc::default(), lease: LeaseWatch::default() }
    }

    fn published_up_to(&self) -> String {
        self.published_up_to.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores that all events before the commit of this key are published. This stays true: later commits have higher
    /// numbers, and a commit becomes visible completely.
    fn advance_published(&self, key: &str) {
        let before = key.split_once('/').map_or("", |(commit, _)| commit);
        let mut published_up_to = self.published_up_to.lock().unwrap_or_else(PoisonError::into_inner);
        if before > published_up_to.as_str() {
            before.clone_into(&mut published_up_to);
        }
    }

    async fn pending_records(&self, limit: usize) -> Result<Vec<Record>, RepoError> {
        let range = KeyRange { kind: EVENT, above: self.published_up_to(), below: None, descending: false };
        let (found, reached) = self.database.scan_on(&range, limit).await?;
        // When nothing is pending, everything that was read is published.
        if let Some(key) = found.first().map(|first| &first.key).or(reached.as_ref()) {
            self.advance_published(key);
        }
        Ok(found)
    }

    async fn stored_lease(&self) -> Result<Option<StoredLease>, RepoError> {
        let key = LEASE.key(RELAY);
        self.database.find(std::slice::from_ref(&key)).await?.get(&key).map(Record::read).transpose()
    }

    /// The server's clock, in milliseconds.
    async fn now(&self) -> Result<i64, RepoError> {
        #[derive(Deserialize)]
        struct Row {
            now: i64,
        }
        let sql = "SELECT toUnixTimestamp64Milli(now64(3)) AS now";
        let rows: Vec<Row> = self.database.rows(self.database.query(sql)).await?;
        rows.first().map(|row| row.now).ok_or_else(|| RepoError::Backend("the server returned no time".into()))
    }

    /// Gives the lease to `holder` until `expires_at`. Returns false when another process was first.
    async fn set_lease(&self, stored: Option<&StoredLease>, holder: Uuid, expires_at: i64) -> Result<bool, RepoError> {
        let version = stored.map_or(0, |stored| stored.version) + 1;
        let row = LeaseRow { holder, expires_at };
        self.database.insert_version(&LEASE.key(RELAY), version, &row).await?;
        Ok(self.stored_lease().await?.is_some_and(|stored| stored.version == version && stored.holder == holder))
    }

    async fn mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let keys = pending_keys(&self.database, &self.published_up_to(), ids).await?;
        let order: HashMap<_, _> =
            ids.iter().rev().enumerate().map(|(position, id)| (*id, Reverse(position))).collect();
        self.database
            .write(keys.clone(), move |write| {
                let mut rows = Vec::new();
                for key in &keys {
                    if let Some(event) = write.get::<EventRow>(key)? {
                        write.remove(key);
                        rows.push(event);
                    }
                }
                // In the order given, which is the order of publishing.
                rows.sort_by_key(|row| order.get(&row.id()).copied());
                rows.into_iter()
                    .try_for_each(|event| write.publish(&PublishedRow { event, recorded_at: now.as_millis() }))
            })
            .await
    }

    async fn published_after(&self, after: Uuid, limit: usize) -> Result<History, RepoError> {
        // The skip index on `event_id` leaves few granules to read.
        let sql = "SELECT key FROM record_versions WHERE kind = 'published' AND event_id = ? ORDER BY key LIMIT 1";
        let position: Vec<Key> = self.database.rows(self.database.query(sql).bind(after.to_string())).await?;
        let Some(position) = position.into_iter().next() else {
            return Ok(History::UnknownEvent);
        };
        let range = KeyRange { kind: PUBLISHED, above: position.key.clone(), below: None, descending: false };
        let events = self.published(&range, limit).await?;
        // A purge in between may have removed the position and some of the events after it.
        if self.database.find(&[PUBLISHED.key(position.key)]).await?.is_empty() {
            return Ok(History::UnknownEvent);
        }
        Ok(History::Events(events))
    }

    async fn published(&self, range: &KeyRange, limit: usize) -> Result<Vec<Event>, RepoError> {
        self.database.scan(range, limit).await?.iter().map(event).collect()
    }

    /// Removes the rows of published pending records and of old commits. The live versions are removed before the
    /// deleted ones: a live version without its deleted version would make the event pending again.
    async fn remove_superseded(&self) -> Result<(), RepoError> {
        self.pending_records(1).await?;
        let published_up_to = self.published_up_to();
        for version in ["deleted = 0", "deleted = 1"] {
            self.database
                .purge("record_versions", &format!("kind = 'event' AND {version} AND key < '{published_up_to}'"))
                .await?;
        }
        let last = self.database.last_commit().await?;
        let commits = padded(last.saturating_sub(RETAINED_COMMITS));
        self.database.purge("record_versions", &format!("kind = 'commit' AND key < '{commits}'")).await?;
        Ok(())
    }
}

fn event(found: &Record) -> Result<Event, RepoError> {
    found.read::<EventRow>()?.try_into()
}

/// The keys above `above` under which these events are or were pending.
pub(super) async fn pending_keys(
    database: &ClickHouse,
    above: &str,
    ids: &[Uuid],
) -> Result<Vec<RecordKey>, RepoError> {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    let sql = "SELECT DISTINCT key FROM record_versions
               WHERE kind = 'event' AND key > ? AND deleted = 0 AND event_id IN ?";
    let keys: Vec<Key> = database.rows(database.query(sql).bind(above).bind(ids)).await?;
    Ok(keys.into_iter().map(|row| EVENT.key(row.key)).collect())
}

#[async_trait]
impl Outbox for ClickHouseOutbox {
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        let events = events.to_vec();
        self.database.write(Vec::new(), move |write| write.append(&events)).await
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let (stored, now) = tokio::try_join!(self.stored_lease(), self.now())?;
        if let Some(stored) = stored.as_ref().filter(|stored| stored.holder != holder && stored.expires_at > now) {
            let lease = Lease { holder: stored.holder, expires_at: stored.expires_at };
            if self.lease.abandoned(ttl) != Some(lease) {
                self.lease.observe(lease, now, ttl);
                return Ok(false);
            }
        }
        self.set_lease(stored.as_ref(), holder, now.saturating_add(as_millis(ttl))).await
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let stored = self.stored_lease().await?;
        if stored.as_ref().is_some_and(|stored| stored.holder == holder) {
            self.set_lease(stored.as_ref(), holder, 0).await?;
        }
        Ok(())
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        self.pending_records(limit as usize).await?.iter().map(event).collect()
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        for ids in ids.chunks(MAX_MARKED_PER_COMMIT) {
            self.mark(ids, now).await?;
        }
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, RepoError> {
        #[derive(Deserialize)]
        struct Row {
            pending: u64,
            oldest: i64,
        }
        // FINAL excludes published events; the key condition limits the merge to the tail.
        let sql = "SELECT count() AS pending, min(event_time) AS oldest FROM record_versions FINAL
                   WHERE kind = 'event' AND key > ?";
        let rows: Vec<Row> = self.database.rows(self.database.query(sql).bind(self.published_up_to())).await?;
        match rows.first() {
            Some(row) if row.pending > 0 => Ok(Backlog { pending: row.pending, oldest: Some(timestamp(row.oldest)?) }),
            _ => Ok(Backlog::default()),
        }
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        let limit = limit as usize;
        if let Some(after) = after {
            return self.published_after(after, limit).await;
        }
        let range = KeyRange { kind: PUBLISHED, above: String::new(), below: None, descending: true };
        let mut events = self.published(&range, limit).await?;
        events.reverse();
        Ok(History::Events(events))
    }

    async fn purge(&self, before: Timestamp, _: u32) -> Result<u64, RepoError> {
        // Each of these has one version, or later versions with later times.
        let old = format!("kind IN ('published', 'receipt', 'attempts') AND recorded_at < {}", before.as_millis());
        let removed = self.database.purge("record_versions", &old).await?;
        // Only when nothing else is left, because every call would find new rows to remove.
        if removed == 0 {
            self.remove_superseded().await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        // A commit and a timeout both end the wait.
        drop(tokio::time::timeout(timeout, self.database.committed().notified()).await);
    }
}
