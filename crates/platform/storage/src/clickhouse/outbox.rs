//! The outbox.
//!
//! An event waits as a record whose key is its commit and its place in that: the order of commits. When it is
//! published, one commit removes it there and adds it to the published ones, whose keys are the order of publishing.
//! So neither needs a join, and reading what waits begins where what is published ends. An event that is replayed
//! waits, and then is published, a second time, so that one who read up to its first publishing misses nothing in
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
use super::pool::Range;
use super::records::{EVENT, Found, LEASE, PUBLISHED, Place, number};
use crate::lease::{Lease, LeaseWatch, as_millis};

/// Commits whose records are kept, so that the one who made them can be told: no fewer than the server remembers.
const KEPT_COMMITS: u64 = 10_000;
/// The key of the lease.
const RELAY: &str = "relay";
/// Events marked in one commit.
const MARK_AT_ONCE: usize = 5_000;

/// The outbox of a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseOutbox {
    database: ClickHouse,
    /// All events with keys up to this one are published.
    done: Arc<Mutex<String>>,
    lease: LeaseWatch,
}

/// The columns of the lease. It stands beside the commits, in versions of its own: who renews it waits for no writes,
/// however many there are.
#[derive(Deserialize)]
struct Leased {
    holder: Uuid,
    at: i64,
    version: u64,
}

#[derive(Serialize)]
struct LeaseRow {
    holder: Uuid,
    at: i64,
}

/// The columns of a published event.
#[derive(Serialize, Deserialize)]
struct PublishedRow {
    #[serde(flatten)]
    event: EventRow,
    at: i64,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

impl ClickHouseOutbox {
    /// The outbox in `database`, which has the tables of [`super::EVENTS`].
    pub fn new(database: ClickHouse) -> Self {
        Self { database, done: Arc::default(), lease: LeaseWatch::default() }
    }

    fn done(&self) -> String {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers that what lies before the commit of this key is published, for good: later commits have greater
    /// numbers, and are whole from the moment that they can be seen.
    fn remember(&self, key: &str) {
        let before = key.split_once('/').map_or("", |(commit, _)| commit);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if before > done.as_str() {
            before.clone_into(&mut done);
        }
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Found>, RepoError> {
        let range = Range { kind: EVENT, above: self.done(), below: None, descending: false };
        let (found, reached) = self.database.scan_on(&range, limit).await?;
        // Where none waits, all that was looked at is published.
        if let Some(key) = found.first().map(|first| &first.key).or(reached.as_ref()) {
            self.remember(key);
        }
        Ok(found)
    }

    async fn leased(&self) -> Result<Option<Leased>, RepoError> {
        let place = LEASE.at(RELAY);
        self.database.find(std::slice::from_ref(&place)).await?.get(&place).map(Found::read).transpose()
    }

    /// The server's clock, in milliseconds.
    async fn now(&self) -> Result<i64, RepoError> {
        #[derive(Deserialize)]
        struct Row {
            now: i64,
        }
        let sql = "SELECT toUnixTimestamp64Milli(now64(3)) AS now";
        let rows: Vec<Row> = self.database.rows(self.database.query(sql)).await?;
        rows.first().map(|row| row.now).ok_or_else(|| RepoError::Backend("the server has no time".into()))
    }

    /// Makes the lease that of `holder`, until `at`; false when another process came first.
    async fn pass_on(&self, held: Option<&Leased>, holder: Uuid, at: i64) -> Result<bool, RepoError> {
        let version = held.map_or(0, |held| held.version) + 1;
        let row = LeaseRow { holder, at };
        self.database.succeed(&LEASE.at(RELAY), version, &row).await?;
        Ok(self.leased().await?.is_some_and(|held| held.version == version && held.holder == holder))
    }

    async fn mark(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let places = waiting(&self.database, &self.done(), ids).await?;
        let order: HashMap<_, _> = ids.iter().rev().enumerate().map(|(place, id)| (*id, Reverse(place))).collect();
        self.database
            .write(places.clone(), move |write| {
                let mut rows = Vec::new();
                for place in &places {
                    if let Some(event) = write.get::<EventRow>(place)? {
                        write.remove(place);
                        rows.push(event);
                    }
                }
                // In the order given, which is that of their publishing.
                rows.sort_by_key(|row| order.get(&row.id()).copied());
                rows.into_iter().try_for_each(|event| write.publish(&PublishedRow { event, at: now.as_millis() }))
            })
            .await
    }

    async fn behind(&self, after: Uuid, limit: usize) -> Result<History, RepoError> {
        // The skip index on the id leaves few granules to look through.
        let sql = "SELECT key FROM records WHERE what = 'published' AND event_id = ? ORDER BY key LIMIT 1";
        let place: Vec<Key> = self.database.rows(self.database.query(sql).bind(after.to_string())).await?;
        let Some(place) = place.into_iter().next() else {
            return Ok(History::UnknownEvent);
        };
        let range = Range { kind: PUBLISHED, above: place.key.clone(), below: None, descending: false };
        let events = self.published(&range, limit).await?;
        // A purge in between may have taken some of those that follow, and the place with them.
        if self.database.find(&[PUBLISHED.at(place.key)]).await?.is_empty() {
            return Ok(History::UnknownEvent);
        }
        Ok(History::Events(events))
    }

    async fn published(&self, range: &Range, limit: usize) -> Result<Vec<Event>, RepoError> {
        self.database.scan(range, limit).await?.iter().map(event).collect()
    }

    /// Removes the traces of events that wait no more, and of old commits. The versions that say that an event waits go
    /// first, so that at no time one is left without the later version that says that it does not.
    async fn sweep(&self) -> Result<(), RepoError> {
        self.waiting(1).await?;
        let done = self.done();
        for waited in ["deleted = 0", "deleted = 1"] {
            self.database.purge("records", &format!("what = 'event' AND {waited} AND key < '{done}'")).await?;
        }
        let last = self.database.last_commit().await?;
        let commits = number(last.saturating_sub(KEPT_COMMITS));
        self.database.purge("records", &format!("what = 'commit' AND key < '{commits}'")).await?;
        Ok(())
    }
}

fn event(found: &Found) -> Result<Event, RepoError> {
    found.read::<EventRow>()?.try_into()
}

/// Where these events wait behind the key `above`, or have waited.
pub(super) async fn waiting(database: &ClickHouse, above: &str, ids: &[Uuid]) -> Result<Vec<Place>, RepoError> {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    let sql = "SELECT DISTINCT key FROM records WHERE what = 'event' AND key > ? AND deleted = 0 AND event_id IN ?";
    let keys: Vec<Key> = database.rows(database.query(sql).bind(above).bind(ids)).await?;
    Ok(keys.into_iter().map(|row| EVENT.at(row.key)).collect())
}

#[async_trait]
impl Outbox for ClickHouseOutbox {
    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let (held, now) = tokio::try_join!(self.leased(), self.now())?;
        if let Some(held) = held.as_ref().filter(|held| held.holder != holder && held.at > now) {
            let lease = Lease { holder: held.holder, until: held.at };
            if self.lease.abandoned(ttl) != Some(lease) {
                self.lease.observe(lease, now, ttl);
                return Ok(false);
            }
        }
        self.pass_on(held.as_ref(), holder, now.saturating_add(as_millis(ttl))).await
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let held = self.leased().await?;
        if held.as_ref().is_some_and(|held| held.holder == holder) {
            self.pass_on(held.as_ref(), holder, 0).await?;
        }
        Ok(())
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        self.waiting(limit as usize).await?.iter().map(event).collect()
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        for ids in ids.chunks(MARK_AT_ONCE) {
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
        // FINAL leaves out what is published; only what lies behind that is merged for it.
        let sql = "SELECT count() AS pending, min(event_time) AS oldest FROM records FINAL
                   WHERE what = 'event' AND key > ?";
        let rows: Vec<Row> = self.database.rows(self.database.query(sql).bind(self.done())).await?;
        match rows.first() {
            Some(row) if row.pending > 0 => Ok(Backlog { pending: row.pending, oldest: Some(timestamp(row.oldest)?) }),
            _ => Ok(Backlog::default()),
        }
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        let limit = limit as usize;
        if let Some(after) = after {
            return self.behind(after, limit).await;
        }
        let range = Range { kind: PUBLISHED, above: String::new(), below: None, descending: true };
        let mut events = self.published(&range, limit).await?;
        events.reverse();
        Ok(History::Events(events))
    }

    async fn purge(&self, before: Timestamp, _: u32) -> Result<u64, RepoError> {
        // These have one version each, or later ones for later times.
        let old = format!("what IN ('published', 'receipt', 'attempts') AND at < {}", before.as_millis());
        let removed = self.database.purge("records", &old).await?;
        // Once in a round of calls: what this removes is always becoming more.
        if removed == 0 {
            self.sweep().await?;
        }
        Ok(removed)
    }

    async fn wait(&self, timeout: Duration) {
        // Both ends of the wait are good ones.
        drop(tokio::time::timeout(timeout, self.database.committed().notified()).await);
    }
}
