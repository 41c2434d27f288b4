//! In-memory stores and a broker that fulfil the contracts of the ports and can be set to fail.

mod broker;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Clock, Event, Inbox, Outbox, Receipt, RepoError, Timestamp, TraceContext};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

pub(crate) use broker::{Broker, Settled};

/// Runs a component concurrently with `scenario` and stops it when that ends.
pub(crate) async fn run_alongside<T>(component: impl Component, scenario: impl Future<Output = T>) -> T {
    let stop = Stop::new();
    let mut component = Box::new(component);
    component.init().await.unwrap();
    let run = component.run(stop.clone());
    let script = async {
        let out = scenario.await;
        stop.request();
        out
    };
    let both = async { tokio::join!(run, script) };
    let (ended, out) = timeout(Duration::from_hours(24), both).await.expect("the scenario ends");
    ended.unwrap();
    out
}

/// Waits, in the test's paused time, until `condition` is true.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

pub(crate) fn event(id: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(id),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: "dogs".to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(0).unwrap(),
        content_type: "application/json".to_owned(),
        data: bytes::Bytes::from_static(b"{}"),
        trace: None,
    }
}

/// Returns the event with the trace context of this trace id.
pub(crate) fn in_trace(mut event: Event, trace: &str) -> Event {
    event.trace = Some(TraceContext { traceparent: format!("00-{trace}-00f067aa0ba902b7-01"), tracestate: None });
    event
}

pub(crate) fn numbers<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u128> {
    events.into_iter().map(|event| event.id.as_u128()).collect()
}

/// Returns the test's paused time, which starts at the epoch.
pub(crate) struct TestClock(Instant);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap()).unwrap()
    }
}

fn down() -> RepoError {
    RepoError::Unavailable("the store is down".into())
}

#[derive(Default)]
struct Rows {
    waiting: Vec<Event>,
    published: Vec<(Event, Timestamp)>,
    lease: Option<(Uuid, Instant)>,
}

#[derive(Default)]
pub(crate) struct MemoryOutbox {
    rows: Mutex<Rows>,
    committed: Notify,
    /// Every call fails while this is set.
    pub(crate) down: AtomicBool,
    /// How many of the next calls of `mark_published` fail.
    pub(crate) failing_marks: AtomicU32,
    /// How many pending events were read.
    pub(crate) read: AtomicUsize,
}

impl MemoryOutbox {
    pub(crate) fn commit(&self, events: impl IntoIterator<Item = Event>) {
        self.rows.lock().unwrap().waiting.extend(events);
        self.committed.notify_one();
    }

    /// Adds an event as another process would: nobody in this process is notified.
    pub(crate) fn commit_silently(&self, event: Event) {
        self.rows.lock().unwrap().waiting.push(event);
    }

    /// Adds an event that is already published.
    pub(crate) fn past(&self, event: Event) {
        let at = event.time;
        self.rows.lock().unwrap().published.push((event, at));
    }

    pub(crate) fn published(&self) -> Vec<u128> {
        numbers(self.rows.lock().unwrap().published.iter().map(|(event, _)| event))
    }

    pub(crate) fn holder(&self) -> Option<Uuid> {
        self.rows.lock().unwrap().lease.map(|(holder, _)| holder)
    }

    /// Gives the lease to another holder for `ttl`, as after a pause longer than it.
    pub(crate) fn hand_over(&self, holder: Uuid, ttl: Duration) {
        self.rows.lock().unwrap().lease = Some((holder, Instant::now() + ttl));
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, Rows>, RepoError> {
        if self.down.load(Ordering::SeqCst) { Err(down()) } else { Ok(self.rows.lock().unwrap()) }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        drop(self.up()?);
        self.commit(events.iter().cloned());
        Ok(())
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        let mut rows = self.up()?;
        let now = Instant::now();
        let free = rows.lease.is_none_or(|(other, until)| other == holder || until <= now);
        if free {
            rows.lease = Some((holder, now + ttl));
        }
        Ok(free)
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let mut rows = self.up()?;
        rows.lease = rows.lease.filter(|(other, _)| *other != holder);
        Ok(())
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        let events: Vec<_> = self.up()?.waiting.iter().take(limit as usize).cloned().collect();
        self.read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let fails = |left: u32| left.checked_sub(1);
        if self.failing_marks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(down());
        }
        let mut rows = self.up()?;
        let (marked, waiting) = rows.waiting.drain(..).partition(|event| ids.contains(&event.id));
        rows.waiting = waiting;
        let marked: Vec<Event> = marked;
        rows.published.extend(marked.into_iter().map(|event| (event, now)));
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, RepoError> {
        let rows = self.up()?;
        let oldest = rows.waiting.iter().map(|event| event.time).min();
        Ok(Backlog { pending: rows.waiting.len() as u64, oldest })
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        let rows = self.up()?;
        let events = rows.published.iter().map(|(event, _)| event);
        let start = match after {
            None => rows.published.len().saturating_sub(limit as usize),
            Some(after) => match events.clone().position(|event| event.id == after) {
                Some(found) => found + 1,
                None => return Ok(History::UnknownEvent),
            },
        };
        Ok(History::Events(events.skip(start).take(limit as usize).cloned().collect()))
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let mut rows = self.up()?;
        let mut removed = 0;
        rows.published.retain(|(_, at)| {
            let retain = *at >= before || removed == u64::from(limit);
            removed += u64::from(!retain);
            retain
        });
        Ok(removed)
    }

    async fn wait(&self, longest: Duration) {
        timeout(longest, self.committed.notified()).await.ok();
    }
}

#[derive(Default)]
pub(crate) struct MemoryInbox {
    receipts: Mutex<HashSet<(String, Uuid)>>,
    attempts: Mutex<HashMap<(String, Uuid), u32>>,
    /// How many of the next calls fail.
    pub(crate) failing: AtomicU32,
    /// How many calls have stored receipts.
    pub(crate) receipt_writes: AtomicU32,
}

impl MemoryInbox {
    fn up(&self) -> Result<(), RepoError> {
        let fails = |left: u32| left.checked_sub(1);
        match self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails) {
            Ok(_) => Err(down()),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        self.up()?;
        let receipts = self.receipts.lock().unwrap();
        Ok(events.iter().filter(|event| receipts.contains(&(group.to_owned(), **event))).copied().collect())
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.up()?;
        self.receipt_writes.fetch_add(1, Ordering::SeqCst);
        Ok(self.receipts.lock().unwrap().insert((receipt.group.clone(), receipt.event)))
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        self.up()?;
        self.receipt_writes.fetch_add(1, Ordering::SeqCst);
        let mut known = self.receipts.lock().unwrap();
        let new = receipts.iter().filter(|receipt| known.insert((receipt.group.clone(), receipt.event)));
        Ok(new.map(|receipt| receipt.event).collect())
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        _now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        self.up()?;
        let mut attempts = self.attempts.lock().unwrap();
        let count = |event: &Uuid| {
            let count = attempts.entry((group.to_owned(), *event)).or_default();
            *count += 1;
            (*event, *count)
        };
        Ok(events.iter().map(count).collect())
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        self.up()?;
        let attempts = self.attempts.lock().unwrap();
        let count = |event: &Uuid| Some((*event, *attempts.get(&(group.to_owned(), *event))?));
        Ok(events.iter().filter_map(count).collect())
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        self.up()?;
        let key = (group.to_owned(), event);
        self.receipts.lock().unwrap().remove(&key);
        self.attempts.lock().unwrap().remove(&key);
        Ok(())
    }
}
