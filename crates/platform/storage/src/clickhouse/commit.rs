//! The committer: takes the queued writes, runs each of them, and stores all their rows with one insert.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kennel_core::{BoxError, Event, IdSource as _, Receipt, RepoError, UuidV7};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::events::EventRow;
use super::inbox::{ReceiptRow, receipt};
use super::pool::Server;
use super::records::{COMMIT, EVENT, PUBLISHED, Record, RecordKey, RecordKind, padded, parse};
use crate::error::SharedError;

/// Maximum number of writes per commit.
const MAX_GROUP_WRITES: usize = 1_024;
/// Maximum number of records that a commit with several writes reads.
const MAX_GROUP_READS: usize = 20_000;
/// A commit that has reached this many bytes takes no further writes.
const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of attempts of a commit that loses against other processes.
const MAX_TRIES: u32 = 64;
/// How long a process may use the number of the last commit it knows without reading it again. The server remembers
/// only 10,000 tokens: after more commits of other processes in between, it would accept a number a second time.
const LAST_COMMIT_TTL: Duration = Duration::from_secs(2);
/// Delays before the retries of a request.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// A request that failed after longer than this is not retried, to limit the latency of its callers.
const MAX_RETRY_ELAPSED: Duration = Duration::from_secs(1);

/// A write in the queue of the committer.
pub(super) trait WriteTask: Send {
    fn reads(&self) -> &[RecordKey];
    /// Runs the write, and adds its rows to the group.
    fn run(&mut self, group: &mut CommitGroup);
    /// Replies to the caller; `failure` is the reason why the commit failed.
    fn reply_to_caller(self: Box<Self>, failure: Option<RepoError>);
}

pub(super) struct WriteJob<T, F> {
    reads: Vec<RecordKey>,
    change: F,
    outcome: Option<Result<T, RepoError>>,
    reply: oneshot::Sender<Result<T, RepoError>>,
}

impl<T, F> WriteJob<T, F> {
    pub(super) fn new(reads: Vec<RecordKey>, change: F) -> (Self, oneshot::Receiver<Result<T, RepoError>>) {
        let (reply, response) = oneshot::channel();
        (Self { reads, change, outcome: None, reply }, response)
    }
}

impl<T, F> WriteTask for WriteJob<T, F>
where
    T: Send,
    F: FnMut(&mut Write<'_>) -> Result<T, RepoError> + Send,
{
    fn reads(&self) -> &[RecordKey] {
        &self.reads
    }

    fn run(&mut self, group: &mut CommitGroup) {
        let mut write = Write { group, rows: Vec::new() };
        let outcome = (self.change)(&mut write);
        let rows = write.rows;
        if outcome.is_ok() {
            group.add(rows);
        }
        self.outcome = Some(outcome);
    }

    fn reply_to_caller(self: Box<Self>, failure: Option<RepoError>) {
        let outcome = match (failure, self.outcome) {
            // The write's own error takes precedence: the write had no rows in the failed commit.
            (_, Some(Err(own))) => Err(own),
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(RepoError::Backend("the write was not run".into())),
        };
        // The caller may have been cancelled.
        drop(self.reply.send(outcome));
    }
}

/// A row to insert.
struct PendingRow {
    kind: RecordKind,
    /// `None` for rows whose key is their position in the commit.
    key: Option<String>,
    deleted: bool,
    /// The columns as a JSON object.
    columns: String,
}

/// The records that the writes of one commit read, and the rows they have put so far.
pub(super) struct CommitGroup {
    read: HashMap<RecordKey, Option<Record>>,
    rows: Vec<PendingRow>,
    row_index: HashMap<RecordKey, usize>,
    bytes: usize,
    has_events: bool,
}

impl CommitGroup {
    fn new<'a>(requested: impl Iterator<Item = &'a RecordKey>, mut found: HashMap<RecordKey, Record>) -> Self {
        let mut read = HashMap::new();
        for key in requested {
            // Several writes can request the same key; the first entry has the record.
            let found = found.remove(key);
            read.entry(key.clone()).or_insert(found);
        }
        Self { read, rows: Vec::new(), row_index: HashMap::new(), bytes: 0, has_events: false }
    }

    fn add(&mut self, rows: Vec<PendingRow>) {
        for row in rows {
            self.bytes += row.columns.len() + 128;
            self.has_events |= row.kind == EVENT && row.key.is_none();
            let Some(key) = &row.key else {
                self.rows.push(row);
                continue;
            };
            match self.row_index.entry(row.kind.key(key.clone())) {
                Entry::Occupied(entry) => self.rows[*entry.get()] = row,
                Entry::Vacant(entry) => {
                    entry.insert(self.rows.len());
                    self.rows.push(row);
                }
            }
        }
    }

    /// Encodes the body of the insert.
    fn encode(&self, version: u64, holder: &str) -> Result<Bytes, RepoError> {
        let mut body = String::with_capacity(self.bytes);
        let commit = PendingRow {
            kind: COMMIT,
            key: Some(padded(version)),
            deleted: false,
            columns: json(&CommitRow { holder: holder.to_owned() })?,
        };
        for (position, row) in self.rows.iter().chain([&commit]).enumerate() {
            let key = row.key.clone().unwrap_or_else(|| format!("{}/{position:06}", padded(version)));
            let head = json(&RecordHeader { kind: row.kind.name, key: &key, version, deleted: row.deleted.into() })?;
            let (head, columns) = (head.trim_end_matches('}'), row.columns.trim_start_matches('{'));
            let comma = if columns == "}" { "" } else { "," };
            body.extend([head, comma, columns, "\n"]);
        }
        Ok(body.into())
    }
}

/// The columns of every record.
#[derive(Serialize)]
pub(super) struct RecordHeader<'a> {
    pub(super) kind: &'a str,
    pub(super) key: &'a str,
    pub(super) version: u64,
    pub(super) deleted: u8,
}

#[derive(Serialize, Deserialize)]
struct CommitRow {
    holder: String,
}

pub(super) fn json<T: Serialize>(row: &T) -> Result<String, RepoError> {
    serde_json::to_string(row).map_err(|error| RepoError::Backend(error.into()))
}

/// A running write: the records it reads, and the records, events and receipts that are committed with it.
pub struct Write<'a> {
    group: &'a CommitGroup,
    rows: Vec<PendingRow>,
}

impl Write<'_> {
    /// The record with a key, including the changes of this write and of the earlier writes of the commit. Fails when
    /// the write did not list the key in `reads`, unless another write of the same commit did.
    pub fn get<T: DeserializeOwned>(&self, key: &RecordKey) -> Result<Option<T>, RepoError> {
        let same = |row: &&PendingRow| row.kind == key.kind && row.key.as_ref() == Some(&key.key);
        let put = self.rows.iter().rfind(same);
        let put = put.or_else(|| self.group.row_index.get(key).map(|index| &self.group.rows[*index]));
        if let Some(row) = put {
            return if row.deleted { Ok(None) } else { parse(&row.columns).map(Some) };
        }
        match self.group.read.get(key) {
            Some(found) => found.as_ref().map(Record::read).transpose(),
            None => Err(RepoError::Backend(BoxError::from("a write reads a record that it did not request"))),
        }
    }

    /// Stores a record; replaces an existing one.
    pub fn put<T: Serialize>(&mut self, key: &RecordKey, row: &T) -> Result<(), RepoError> {
        self.push_row(key.kind, Some(key.key.clone()), false, row)
    }

    /// Removes the record, if it exists.
    pub fn remove(&mut self, key: &RecordKey) {
        let row = PendingRow { kind: key.kind, key: Some(key.key.clone()), deleted: true, columns: "{}".to_owned() };
        self.rows.push(row);
    }

    /// Removes a record that purges find by `recorded_at`. The deleted row has the same `recorded_at` as the removed
    /// one: a purge of the deleted row alone would restore the record.
    pub(super) fn remove_dated(&mut self, key: &RecordKey, row: &ReceiptRow) -> Result<(), RepoError> {
        self.push_row(key.kind, Some(key.key.clone()), true, row)
    }

    /// Adds events to the outbox, in this order.
    pub fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        events.iter().try_for_each(|event| self.push_row(EVENT, None, false, &EventRow::from(event)))
    }

    /// Adds a receipt to the inbox. Returns false when it was already recorded. The write must have its [`receipt`] key
    /// in `reads`.
    pub fn record(&mut self, given: &Receipt) -> Result<bool, RepoError> {
        let key = receipt(&given.group, given.event);
        if self.get::<ReceiptRow>(&key)?.is_some() {
            return Ok(false);
        }
        self.put(&key, &ReceiptRow { recorded_at: given.at.as_millis() })?;
        Ok(true)
    }

    /// Adds receipts to the inbox, like [`Self::record`]. Returns the events that had none.
    pub fn record_all(&mut self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        let mut recorded = HashSet::new();
        for receipt in receipts {
            if self.record(receipt)? {
                recorded.insert(receipt.event);
            }
        }
        Ok(recorded)
    }

    /// Appends a row to the published events.
    pub(super) fn publish<T: Serialize>(&mut self, row: &T) -> Result<(), RepoError> {
        self.push_row(PUBLISHED, None, false, row)
    }

    fn push_row<T: Serialize>(
        &mut self,
        kind: RecordKind,
        key: Option<String>,
        deleted: bool,
        row: &T,
    ) -> Result<(), RepoError> {
        self.rows.push(PendingRow { kind, key, deleted, columns: json(row)? });
        Ok(())
    }
}

/// Runs the commits of a process, one at a time.
pub(super) struct Committer {
    server: Arc<Server>,
    committed: Arc<Notify>,
    /// The number of the last known commit, and when it was read.
    last: Option<(u64, Instant)>,
}

impl Committer {
    pub(super) const fn new(server: Arc<Server>, committed: Arc<Notify>) -> Self {
        Self { server, committed, last: None }
    }

    /// Commits queued writes until all senders are dropped.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn WriteTask>>) {
        let mut waiting = Vec::new();
        loop {
            let capacity = MAX_GROUP_WRITES - waiting.len();
            if waiting.is_empty() && queue.recv_many(&mut waiting, capacity).await == 0 {
                return;
            }
            while waiting.len() < MAX_GROUP_WRITES
                && let Ok(write) = queue.try_recv()
            {
                waiting.push(write);
            }
            let mut group = take_group(&mut waiting);
            let remaining = self.commit_and_reply(&mut group).await;
            waiting.splice(0..0, remaining);
        }
    }

    /// Commits these writes and replies to their callers; returns the writes that did not fit.
    async fn commit_and_reply(&mut self, writes: &mut Vec<Box<dyn WriteTask>>) -> Vec<Box<dyn WriteTask>> {
        match self.commit(writes).await {
            Ok(committed) => {
                let remaining = writes.split_off(committed);
                writes.drain(..).for_each(|write| write.reply_to_caller(None));
                return remaining;
            }
            // The server may reject the row of one write. Commit each write alone, so that the others do not fail with
            // it.
            Err(RepoError::Backend(_) | RepoError::Corrupt(_)) if writes.len() > 1 => {
                for mut write in writes.drain(..) {
                    let failure = self.commit(std::slice::from_mut(&mut write)).await.err();
                    write.reply_to_caller(failure);
                }
            }
            Err(error) => {
                let error = SharedError::new(error);
                writes.drain(..).for_each(|write| write.reply_to_caller(Some(error.to_error())));
            }
        }
        Vec::new()
    }

    /// Runs the writes and stores their rows; returns how many writes fit.
    async fn commit(&mut self, writes: &mut [Box<dyn WriteTask>]) -> Result<usize, RepoError> {
        for attempt in 0..MAX_TRIES {
            let known = self.last.filter(|(_, since)| since.elapsed() < LAST_COMMIT_TTL);
            // After a lost attempt, try the number after the winner's without reading it: the extra round trip would
            // let the winner win again. Read it on every fourth attempt, because other processes may be further ahead.
            let last = match known.filter(|_| attempt % 4 != 1) {
                Some((last, _)) => last,
                None => self.server.last_commit().await?,
            };
            let keys: Vec<_> = writes.iter().flat_map(|write| write.reads()).cloned().collect();
            let found = self.server.find(&keys).await?;
            let mut group = CommitGroup::new(keys.iter(), found);
            let mut taken = 0;
            for write in &mut *writes {
                write.run(&mut group);
                taken += 1;
                if group.bytes > MAX_GROUP_BYTES {
                    break;
                }
            }
            if group.rows.is_empty() || self.store(last + 1, &group).await? {
                return Ok(taken);
            }
        }
        Err(RepoError::Unavailable("the commit lost against other processes too often".into()))
    }

    /// Stores the commit `version`. Returns false when another process has stored a commit with this number.
    async fn store(&mut self, version: u64, group: &CommitGroup) -> Result<bool, RepoError> {
        let holder = UuidV7.next().to_string();
        let body = group.encode(version, &holder)?;
        // If the insert fails, its outcome is unknown, so the last number must be read again.
        self.last = None;
        let token = format!("commit {version}");
        retry(|| self.server.insert(&token, &body)).await?;
        let key = [COMMIT.key(padded(version))];
        let found = retry(|| self.server.find(&key)).await?;
        let winner = found.get(&key[0]).ok_or_else(|| RepoError::Backend("the stored commit was not found".into()))?;
        let won = winner.read::<CommitRow>()?.holder == holder;
        self.last = Some((version, Instant::now()));
        if won && group.has_events {
            self.committed.notify_waiters();
            // Stores a permit for a caller that has just polled and is about to wait.
            self.committed.notify_one();
        }
        Ok(won)
    }
}

/// Takes as many writes as fit into one commit, and at least one.
fn take_group(waiting: &mut Vec<Box<dyn WriteTask>>) -> Vec<Box<dyn WriteTask>> {
    let mut reads = 0;
    let fit = waiting.iter().take_while(|write| {
        reads += write.reads().len();
        reads <= MAX_GROUP_READS
    });
    let fit = fit.count().max(1).min(waiting.len());
    waiting.drain(..fit).collect()
}

/// Sends an idempotent request, and retries it while the server is unavailable for a short time.
async fn retry<T, C>(call: impl Fn() -> C) -> Result<T, RepoError>
where
    C: Future<Output = Result<T, RepoError>>,
{
    let started = Instant::now();
    for pause in RETRY_DELAYS {
        match call().await {
            Err(RepoError::Unavailable(_)) if started.elapsed() < MAX_RETRY_ELAPSED => sleep(pause).await,
            result => return result,
        }
    }
    call().await
}
