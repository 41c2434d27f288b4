//! Stores and brokers in memory that keep the contracts of the ports, and can be told to fail.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_core::broker::BrokerError;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{
    Clock, Delivery, Event, Group, Inbox, Outbox, Publisher, Receipt, RepoError, Settle, Subscriber, Subscription,
    Timestamp, TraceContext,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

/// Runs a component beside `scenario` and stops it when that ends.
pub(crate) async fn beside<T>(component: impl Component, scenario: impl Future<Output = T>) -> T {
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

/// Waits, in the test's own time, until `holds`.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
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
        data: bytes::Bytes::from_static(b"{}"),
        trace: None,
    }
}

/// The event as it would be when caused inside the trace with this id.
pub(crate) fn in_trace(mut event: Event, trace: &str) -> Event {
    event.trace = Some(TraceContext { traceparent: format!("00-{trace}-00f067aa0ba902b7-01"), tracestate: None });
    event
}

pub(crate) fn numbers<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u128> {
    events.into_iter().map(|event| event.id.as_u128()).collect()
}

/// Shows the test's own time, which starts at the epoch.
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

fn away() -> BrokerError {
    BrokerError::Unavailable("the broker is away".into())
}

#[derive(Default)]
struct Rows {
    waiting: Vec<Event>,
    published: Vec<(Event, Timestamp)>,
    lease: Option<(Uuid, Timestamp)>,
}

#[derive(Default)]
pub(crate) struct MemoryOutbox {
    rows: Mutex<Rows>,
    committed: Notify,
    /// Makes every call fail.
    pub(crate) down: AtomicBool,
    /// How many of the next marks fail.
    pub(crate) failing_marks: AtomicU32,
}

impl MemoryOutbox {
    pub(crate) fn commit(&self, events: impl IntoIterator<Item = Event>) {
        self.rows.lock().unwrap().waiting.extend(events);
        self.committed.notify_one();
    }

    /// Adds an event as another process would: nobody here is woken.
    pub(crate) fn commit_silently(&self, event: Event) {
        self.rows.lock().unwrap().waiting.push(event);
    }

    /// Adds an event as published already.
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

    /// Gives the lease to someone else, as after a pause that was longer than it.
    pub(crate) fn hand_over(&self, holder: Uuid, until: Timestamp) {
        self.rows.lock().unwrap().lease = Some((holder, until));
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, Rows>, RepoError> {
        if self.down.load(Ordering::SeqCst) { Err(down()) } else { Ok(self.rows.lock().unwrap()) }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn lease(&self, holder: Uuid, now: Timestamp, ttl: Duration) -> Result<bool, RepoError> {
        let mut rows = self.up()?;
        let free = rows.lease.is_none_or(|(other, until)| other == holder || until <= now);
        if free {
            rows.lease = Some((holder, now.saturating_add(ttl)));
        }
        Ok(free)
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        let mut rows = self.up()?;
        rows.lease = rows.lease.filter(|(other, _)| *other != holder);
        Ok(())
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        Ok(self.up()?.waiting.iter().take(limit as usize).cloned().collect())
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
                None => return Ok(History::Gone),
            },
        };
        Ok(History::Events(events.skip(start).take(limit as usize).cloned().collect()))
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, RepoError> {
        let mut rows = self.up()?;
        let all = rows.published.len();
        rows.published.retain(|(_, at)| *at >= before);
        Ok((all - rows.published.len()) as u64)
    }

    async fn wait(&self, longest: Duration) {
        timeout(longest, self.committed.notified()).await.ok();
    }
}

#[derive(Default)]
pub(crate) struct MemoryInbox {
    receipts: Mutex<HashSet<(String, Uuid)>>,
    /// How many of the next calls fail.
    pub(crate) failing: AtomicU32,
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
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        self.up()?;
        Ok(self.receipts.lock().unwrap().contains(&(group.to_owned(), event)))
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.up()?;
        Ok(self.receipts.lock().unwrap().insert((receipt.group.clone(), receipt.event)))
    }
}

/// What was done to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    Ack(u128),
    Nack(u128, Duration),
    Dead(u128, u32, String),
}

/// A broker with one group. It gives out everything at once, so that order is up to the consumer.
#[derive(Clone, Default)]
pub(crate) struct Broker(Arc<Inner>);

#[derive(Default)]
struct Inner {
    queue: Mutex<VecDeque<(Event, u32)>>,
    later: Mutex<Vec<(Instant, Event, u32)>>,
    errors: Mutex<VecDeque<Option<BrokerError>>>,
    changed: Notify,
    settled: Mutex<Vec<Settled>>,
    subscriptions: AtomicU32,
    refused: AtomicU32,
    taken: Mutex<Vec<Event>>,
    held: watch::Sender<bool>,
    held_key: watch::Sender<&'static str>,
    begun: AtomicU32,
}

impl Broker {
    pub(crate) fn send(&self, event: Event) {
        self.0.queue.lock().unwrap().push_back((event, 1));
        self.0.changed.notify_one();
    }

    /// Makes the next `count` publishings and subscriptions fail.
    pub(crate) fn refuse(&self, count: u32) {
        self.0.refused.store(count, Ordering::SeqCst);
    }

    pub(crate) fn refusals_left(&self) -> u32 {
        self.0.refused.load(Ordering::SeqCst)
    }

    /// Breaks the subscription with an error, or its end.
    pub(crate) fn interrupt(&self, error: Option<BrokerError>) {
        self.0.errors.lock().unwrap().push_back(error);
        self.0.changed.notify_one();
    }

    /// Makes publishings hang, or lets them go on.
    pub(crate) fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
    }

    /// Makes publishings with events of this key hang, in place of another.
    pub(crate) fn hold_key(&self, key: &'static str) {
        self.0.held_key.send_replace(key);
    }

    pub(crate) fn subscriptions(&self) -> u32 {
        self.0.subscriptions.load(Ordering::SeqCst)
    }

    /// Publishings that were begun.
    pub(crate) fn begun(&self) -> u32 {
        self.0.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn taken(&self) -> Vec<u128> {
        numbers(&*self.0.taken.lock().unwrap())
    }

    pub(crate) fn taken_traces(&self) -> Vec<String> {
        let taken = self.0.taken.lock().unwrap();
        taken.iter().map(|event| event.trace.as_ref().unwrap().traceparent.clone()).collect()
    }

    pub(crate) fn settled(&self) -> Vec<Settled> {
        self.0.settled.lock().unwrap().clone()
    }

    pub(crate) fn acks(&self) -> Vec<u128> {
        let settled = self.settled();
        let acks = settled.iter().filter_map(|settled| match settled {
            Settled::Ack(id) => Some(*id),
            _ => None,
        });
        acks.collect()
    }

    /// Deliveries that nobody has in hand.
    pub(crate) fn queued(&self) -> usize {
        self.0.queue.lock().unwrap().len()
    }

    pub(crate) fn delivery(&self, event: Event, attempt: u32) -> Delivery {
        let kept = Some((event.clone(), attempt));
        Delivery::new(event, attempt, Box::new(Hand { broker: self.clone(), kept }))
    }

    fn accept(&self) -> Result<(), BrokerError> {
        let refuses = |left: u32| left.checked_sub(1);
        match self.0.refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuses) {
            Ok(_) => Err(away()),
            Err(_) => Ok(()),
        }
    }

    fn settle(&self, settled: Settled) {
        self.0.settled.lock().unwrap().push(settled);
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.accept()?;
        self.0.held.subscribe().wait_for(|held| !held).await.unwrap();
        let mut held_key = self.0.held_key.subscribe();
        held_key.wait_for(|held| batch.iter().all(|event| event.key != *held)).await.unwrap();
        self.0.taken.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

#[async_trait]
impl Subscriber for Broker {
    async fn subscribe(&self, _topic: &str, _group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        self.accept()?;
        self.0.subscriptions.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Member(self.clone())))
    }
}

struct Member(Broker);

#[async_trait]
impl Subscription for Member {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let inner = &self.0.0;
        loop {
            if let Some(error) = inner.errors.lock().unwrap().pop_front() {
                return error.map(Err);
            }
            let due = {
                let mut later = inner.later.lock().unwrap();
                later.sort_by_key(|(at, ..)| *at);
                let now = Instant::now();
                while later.first().is_some_and(|(at, ..)| *at <= now) {
                    let (_, event, attempt) = later.remove(0);
                    inner.queue.lock().unwrap().push_back((event, attempt));
                }
                later.first().map(|(at, ..)| *at)
            };
            let front = inner.queue.lock().unwrap().pop_front();
            if let Some((event, attempt)) = front {
                return Some(Ok(self.0.delivery(event, attempt)));
            }
            let far = Instant::now() + Duration::from_hours(1);
            tokio::select! {
                () = inner.changed.notified() => {}
                () = sleep_until(due.unwrap_or(far)) => {}
            }
        }
    }
}

/// A delivery in someone's hand; goes back to the queue when dropped.
struct Hand {
    broker: Broker,
    kept: Option<(Event, u32)>,
}

impl Hand {
    fn id(&self) -> u128 {
        self.kept.as_ref().unwrap().0.id.as_u128()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if let Some((event, attempt)) = self.kept.take() {
            self.broker.0.queue.lock().unwrap().push_back((event, attempt + 1));
            self.broker.0.changed.notify_one();
        }
    }
}

#[async_trait]
impl Settle for Hand {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let id = self.id();
        self.kept = None;
        self.broker.settle(Settled::Ack(id));
        Ok(())
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let id = self.id();
        let (event, attempt) = self.kept.take().unwrap();
        self.broker.0.later.lock().unwrap().push((Instant::now() + delay, event, attempt + 1));
        self.broker.0.changed.notify_one();
        self.broker.settle(Settled::Nack(id, delay));
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        self.kept = None;
        self.broker.settle(Settled::Dead(event.id.as_u128(), attempts, reason.to_owned()));
        Ok(())
    }
}
