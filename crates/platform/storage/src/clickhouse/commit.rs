//! The committer: takes the writes that wait, lets each decide, and stores what they put in one insert.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kennel_core::{BoxError, Event, IdSource as _, Receipt, RepoError, UuidV7};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::errors::Shared;
use super::events::EventRow;
use super::inbox::{ReceiptRow, receipt};
use super::pool::Server;
use super::records::{COMMIT, EVENT, Found, Kind, PUBLISHED, Place, number, parse};

/// Writes in one commit at most.
const GROUP_JOBS: usize = 1_024;
/// Records that the writes of one commit read at most, where there is more than one write.
const GROUP_READS: usize = 20_000;
/// Once a commit is as long, later writes wait for the next one.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// How often a commit is tried while other processes come first.
const TRIES: u32 = 64;
/// How long a process may take the last commit that it knows of for the last one there is. The server has to know the
/// tokens of all commits made meanwhile, or it would take a number a second time; it knows those of 10,000.
const FRESH: Duration = Duration::from_secs(2);
/// How long to wait before a request is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// A request that took longer to fail is not repeated: its caller has waited enough.
const QUICK: Duration = Duration::from_secs(1);

/// A write on its way to the committer.
pub(super) trait Task: Send {
    fn reads(&self) -> &[Place];
    /// Decides, and adds the rows to the group.
    fn decide(&mut self, group: &mut Group);
    /// Answers the caller; `failure` is why the decision is not stored.
    fn settle(self: Box<Self>, failure: Option<RepoError>);
}

pub(super) struct Job<T, F> {
    reads: Vec<Place>,
    change: F,
    outcome: Option<Result<T, RepoError>>,
    reply: oneshot::Sender<Result<T, RepoError>>,
}

impl<T, F> Job<T, F> {
    pub(super) fn new(reads: Vec<Place>, change: F) -> (Self, oneshot::Receiver<Result<T, RepoError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { reads, change, outcome: None, reply }, answer)
    }
}

impl<T, F> Task for Job<T, F>
where
    T: Send,
    F: FnMut(&mut Write<'_>) -> Result<T, RepoError> + Send,
{
    fn reads(&self) -> &[Place] {
        &self.reads
    }

    fn decide(&mut self, group: &mut Group) {
        let mut write = Write { group, lines: Vec::new() };
        let outcome = (self.change)(&mut write);
        let lines = write.lines;
        if outcome.is_ok() {
            group.add(lines);
        }
        self.outcome = Some(outcome);
    }

    fn settle(self: Box<Self>, failure: Option<RepoError>) {
        let outcome = match (failure, self.outcome) {
            // What the write itself refused was not part of what failed.
            (_, Some(Err(refused))) => Err(refused),
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(RepoError::Backend("the write was not decided".into())),
        };
        // A caller that went away needs no answer.
        drop(self.reply.send(outcome));
    }
}

/// A row to be stored.
struct Line {
    kind: Kind,
    /// `None` for rows that are ordered by their place in the commit.
    key: Option<String>,
    deleted: bool,
    /// The columns as a JSON object.
    row: String,
}

/// What the writes of one commit have read and put so far.
pub(super) struct Group {
    read: HashMap<Place, Option<Found>>,
    lines: Vec<Line>,
    places: HashMap<Place, usize>,
    bytes: usize,
    tells: bool,
}

impl Group {
    fn new<'a>(asked: impl Iterator<Item = &'a Place>, mut found: HashMap<Place, Found>) -> Self {
        let mut read = HashMap::new();
        for place in asked {
            // A place that several ask for is found for the first of them.
            let found = found.remove(place);
            read.entry(place.clone()).or_insert(found);
        }
        Self { read, lines: Vec::new(), places: HashMap::new(), bytes: 0, tells: false }
    }

    fn add(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.bytes += line.row.len() + 128;
            self.tells |= line.kind == EVENT && line.key.is_none();
            let Some(key) = &line.key else {
                self.lines.push(line);
                continue;
            };
            match self.places.entry(line.kind.at(key.clone())) {
                Entry::Occupied(place) => self.lines[*place.get()] = line,
                Entry::Vacant(place) => {
                    place.insert(self.lines.len());
                    self.lines.push(line);
                }
            }
        }
    }

    /// The body of the insert that makes this commit.
    fn encode(&self, version: u64, holder: &str) -> Result<Bytes, RepoError> {
        let mut body = String::with_capacity(self.bytes);
        let commit = Line {
            kind: COMMIT,
            key: Some(number(version)),
            deleted: false,
            row: json(&CommitRow { holder: holder.to_owned() })?,
        };
        for (place, line) in self.lines.iter().chain([&commit]).enumerate() {
            let key = line.key.clone().unwrap_or_else(|| format!("{}/{place:06}", number(version)));
            let head = json(&Head { what: line.kind.name, key: &key, version, deleted: line.deleted.into() })?;
            let (head, columns) = (head.trim_end_matches('}'), line.row.trim_start_matches('{'));
            let comma = if columns == "}" { "" } else { "," };
            body.extend([head, comma, columns, "\n"]);
        }
        Ok(body.into())
    }
}

/// The columns that all records have.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    pub(super) what: &'a str,
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

/// A change on its way: what it read, and the records, events and receipts that are stored with it.
pub struct Write<'a> {
    group: &'a Group,
    lines: Vec<Line>,
}

impl Write<'_> {
    /// The record at a place, as this write and those before it leave it. The place is one that the write asked for;
    /// any other is an error, unless another write of the same commit names it.
    pub fn get<T: DeserializeOwned>(&self, place: &Place) -> Result<Option<T>, RepoError> {
        let same = |line: &&Line| line.kind == place.kind && line.key.as_ref() == Some(&place.key);
        let put = self.lines.iter().rfind(same);
        let put = put.or_else(|| self.group.places.get(place).map(|index| &self.group.lines[*index]));
        if let Some(line) = put {
            return if line.deleted { Ok(None) } else { parse(&line.row).map(Some) };
        }
        match self.group.read.get(place) {
            Some(found) => found.as_ref().map(Found::read).transpose(),
            None => Err(RepoError::Backend(BoxError::from("a write looks at a record that it did not ask for"))),
        }
    }

    /// Stores a record, in place of the one that is there.
    pub fn put<T: Serialize>(&mut self, place: &Place, row: &T) -> Result<(), RepoError> {
        self.line(place.kind, Some(place.key.clone()), row)
    }

    /// Removes the record, if there is one.
    pub fn remove(&mut self, place: &Place) {
        let line = Line { kind: place.kind, key: Some(place.key.clone()), deleted: true, row: "{}".to_owned() };
        self.lines.push(line);
    }

    /// Removes a record that a purge finds by its date. The line that says so has the same date: a purge that took it
    /// first would bring the record back.
    pub(super) fn remove_dated(&mut self, place: &Place, row: &ReceiptRow) -> Result<(), RepoError> {
        let line = Line { kind: place.kind, key: Some(place.key.clone()), deleted: true, row: json(row)? };
        self.lines.push(line);
        Ok(())
    }

    /// Adds events to the outbox, in this order.
    pub fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        events.iter().try_for_each(|event| self.line(EVENT, None, &EventRow::from(event)))
    }

    /// Adds a receipt to the inbox. False when it was there already. The write has asked for its [`receipt`].
    pub fn record(&mut self, given: &Receipt) -> Result<bool, RepoError> {
        let place = receipt(&given.group, given.event);
        if self.get::<ReceiptRow>(&place)?.is_some() {
            return Ok(false);
        }
        self.put(&place, &ReceiptRow { at: given.at.as_millis() })?;
        Ok(true)
    }

    /// Adds a row behind those that are published.
    pub(super) fn publish<T: Serialize>(&mut self, row: &T) -> Result<(), RepoError> {
        self.line(PUBLISHED, None, row)
    }

    fn line<T: Serialize>(&mut self, kind: Kind, key: Option<String>, row: &T) -> Result<(), RepoError> {
        self.lines.push(Line { kind, key, deleted: false, row: json(row)? });
        Ok(())
    }
}

/// Makes the commits of a process, one at a time.
pub(super) struct Committer {
    server: Arc<Server>,
    committed: Arc<Notify>,
    /// The last commit that this process knows of, and since when.
    last: Option<(u64, Instant)>,
}

impl Committer {
    pub(super) const fn new(server: Arc<Server>, committed: Arc<Notify>) -> Self {
        Self { server, committed, last: None }
    }

    /// Commits what comes, until no one is left who could send more.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Task>>) {
        let mut waiting = Vec::new();
        loop {
            let room = GROUP_JOBS - waiting.len();
            if waiting.is_empty() && jobs.recv_many(&mut waiting, room).await == 0 {
                return;
            }
            while waiting.len() < GROUP_JOBS
                && let Ok(job) = jobs.try_recv()
            {
                waiting.push(job);
            }
            let mut group = take(&mut waiting);
            let undecided = self.settle(&mut group).await;
            waiting.splice(0..0, undecided);
        }
    }

    /// Commits these writes and answers them; gives back those that did not fit in.
    async fn settle(&mut self, jobs: &mut Vec<Box<dyn Task>>) -> Vec<Box<dyn Task>> {
        match self.commit(jobs).await {
            Ok(decided) => {
                let undecided = jobs.split_off(decided);
                jobs.drain(..).for_each(|job| job.settle(None));
                return undecided;
            }
            // One of them may be what the server refuses; the others shall not fail for it.
            Err(RepoError::Backend(_) | RepoError::Corrupt(_)) if jobs.len() > 1 => {
                for mut job in jobs.drain(..) {
                    let failure = self.commit(std::slice::from_mut(&mut job)).await.err();
                    job.settle(failure);
                }
            }
            Err(error) => {
                let error = Shared::new(error);
                jobs.drain(..).for_each(|job| job.settle(Some(error.one())));
            }
        }
        Vec::new()
    }

    /// Lets the writes decide, and stores what comes of it; answers how many there was room for.
    async fn commit(&mut self, jobs: &mut [Box<dyn Task>]) -> Result<usize, RepoError> {
        for attempt in 0..TRIES {
            let known = self.last.filter(|(_, since)| since.elapsed() < FRESH);
            // One who lost goes on behind the winner at once, or those who win would win again and again; from time to
            // time it looks whether others have gone further.
            let last = match known.filter(|_| attempt % 4 != 1) {
                Some((last, _)) => last,
                None => self.server.last_commit().await?,
            };
            let places: Vec<_> = jobs.iter().flat_map(|job| job.reads()).cloned().collect();
            let found = self.server.find(&places).await?;
            let mut group = Group::new(places.iter(), found);
            let mut decided = 0;
            for job in &mut *jobs {
                job.decide(&mut group);
                decided += 1;
                if group.bytes > GROUP_BYTES {
                    break;
                }
            }
            if group.lines.is_empty() || self.store(last + 1, &group).await? {
                return Ok(decided);
            }
        }
        Err(RepoError::Unavailable("other processes write all the time".into()))
    }

    /// Makes the commit `version`. False when another process has made it.
    async fn store(&mut self, version: u64, group: &Group) -> Result<bool, RepoError> {
        let holder = UuidV7.next().to_string();
        let body = group.encode(version, &holder)?;
        // Until the outcome is known, so is nothing of where the commits have come to.
        self.last = None;
        let token = format!("commit {version}");
        repeat(|| self.server.insert(&token, &body)).await?;
        let place = [COMMIT.at(number(version))];
        let found = repeat(|| self.server.find(&place)).await?;
        let made = found.get(&place[0]).ok_or_else(|| RepoError::Backend("a commit is not there".into()))?;
        let won = made.read::<CommitRow>()?.holder == holder;
        self.last = Some((version, Instant::now()));
        if won && group.tells {
            self.committed.notify_waiters();
            // Kept for one who has just looked and is about to wait.
            self.committed.notify_one();
        }
        Ok(won)
    }
}

/// As many of the writes as one commit takes, and one at least.
fn take(waiting: &mut Vec<Box<dyn Task>>) -> Vec<Box<dyn Task>> {
    let mut reads = 0;
    let fit = waiting.iter().take_while(|job| {
        reads += job.reads().len();
        reads <= GROUP_READS
    });
    let fit = fit.count().max(1).min(waiting.len());
    waiting.drain(..fit).collect()
}

/// Makes a request that may be made again without harm, and makes it again when the server is briefly away.
async fn repeat<T, C>(call: impl Fn() -> C) -> Result<T, RepoError>
where
    C: Future<Output = Result<T, RepoError>>,
{
    let started = Instant::now();
    for pause in PAUSES {
        match call().await {
            Err(RepoError::Unavailable(_)) if started.elapsed() < QUICK => sleep(pause).await,
            result => return result,
        }
    }
    call().await
}
