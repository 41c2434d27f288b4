//! An in-memory broker that can be paused, interrupted and set to fail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, EventFilter, Group, Publisher, Settle, Subscriber, Subscription};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::numbers;

/// How a delivery was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    Ack(u128),
    Nack(u128, Duration),
    Dead(u128, u32, String),
}

/// A broker with one group. It delivers everything immediately, so that the consumer is responsible for the order.
#[derive(Clone, Default)]
pub(crate) struct Broker(Arc<BrokerState>);

#[derive(Default)]
struct BrokerState {
    queue: Mutex<VecDeque<(Event, u32)>>,
    later: Mutex<Vec<(Instant, Event, u32)>>,
    errors: Mutex<VecDeque<Option<BrokerError>>>,
    changed: Notify,
    settled: Mutex<Vec<Settled>>,
    subscriptions: AtomicU32,
    refused: AtomicU32,
    taken: Mutex<Vec<Event>>,
    blocked: watch::Sender<bool>,
    blocked_key: watch::Sender<&'static str>,
    most_of_key: AtomicUsize,
    started: AtomicU32,
}

impl Broker {
    pub(crate) fn send(&self, event: Event) {
        self.send_again(event, 1);
    }

    /// Sends an event with this attempt number.
    pub(crate) fn send_again(&self, event: Event, attempt: u32) {
        self.0.queue.lock().unwrap().push_back((event, attempt));
        self.0.changed.notify_one();
    }

    /// The next `count` calls of `publish` and `subscribe` fail.
    pub(crate) fn refuse(&self, count: u32) {
        self.0.refused.store(count, Ordering::SeqCst);
    }

    /// A call of `publish` with more events of a key than this fails after ten seconds, as RabbitMQ's does, which confirms
    /// those of a key one after the other; 0 is no limit.
    pub(crate) fn limit_key(&self, most: usize) {
        self.0.most_of_key.store(most, Ordering::SeqCst);
    }

    pub(crate) fn refusals_left(&self) -> u32 {
        self.0.refused.load(Ordering::SeqCst)
    }

    /// Ends the subscription, with an error or without.
    pub(crate) fn interrupt(&self, error: Option<BrokerError>) {
        self.0.errors.lock().unwrap().push_back(error);
        self.0.changed.notify_one();
    }

    /// Blocks or unblocks calls of `publish`.
    pub(crate) fn block(&self, blocked: bool) {
        self.0.blocked.send_replace(blocked);
    }

    /// Blocks calls of `publish` with events of this key, and unblocks the previous key.
    pub(crate) fn block_key(&self, key: &'static str) {
        self.0.blocked_key.send_replace(key);
    }

    pub(crate) fn subscriptions(&self) -> u32 {
        self.0.subscriptions.load(Ordering::SeqCst)
    }

    /// Number of calls of `publish` that have started.
    pub(crate) fn started(&self) -> u32 {
        self.0.started.load(Ordering::SeqCst)
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

    /// Number of queued deliveries.
    pub(crate) fn queued(&self) -> usize {
        self.0.queue.lock().unwrap().len()
    }

    pub(crate) fn delivery(&self, event: Event, attempt: u32) -> Delivery {
        let pending = PendingDelivery { broker: self.clone(), event: Some((event.clone(), attempt)) };
        Delivery::new(event, attempt, Box::new(pending))
    }

    fn accept(&self) -> Result<(), BrokerError> {
        let refuses = |left: u32| left.checked_sub(1);
        match self.0.refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuses) {
            Ok(_) => Err(unavailable()),
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
        self.0.started.fetch_add(1, Ordering::SeqCst);
        self.accept()?;
        let most = self.0.most_of_key.load(Ordering::SeqCst);
        let of_key = |key: &str| batch.iter().filter(|event| event.key == key).count();
        if most > 0 && batch.iter().any(|event| of_key(&event.key) > most) {
            sleep(Duration::from_secs(10)).await;
            return Err(unavailable());
        }
        self.0.blocked.subscribe().wait_for(|blocked| !blocked).await.unwrap();
        let mut blocked_key = self.0.blocked_key.subscribe();
        blocked_key.wait_for(|blocked| batch.iter().all(|event| event.key != *blocked)).await.unwrap();
        self.0.taken.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

#[async_trait]
impl Subscriber for Broker {
    async fn subscribe(
        &self,
        _topic: &str,
        _group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.accept()?;
        self.0.subscriptions.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeSubscription(self.clone(), filter.clone())))
    }
}

struct FakeSubscription(Broker, EventFilter);

#[async_trait]
impl Subscription for FakeSubscription {
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
                if !self.1.includes(&event) {
                    self.0.settle(Settled::Ack(event.id.as_u128()));
                    continue;
                }
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

/// An unsettled delivery; returns to the queue when dropped.
struct PendingDelivery {
    broker: Broker,
    event: Option<(Event, u32)>,
}

impl PendingDelivery {
    fn id(&self) -> u128 {
        self.event.as_ref().unwrap().0.id.as_u128()
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        if let Some((event, attempt)) = self.event.take() {
            self.broker.0.queue.lock().unwrap().push_back((event, attempt + 1));
            self.broker.0.changed.notify_one();
        }
    }
}

#[async_trait]
impl Settle for PendingDelivery {
    fn successor(&self) -> Option<Delivery> {
        let key = &self.event.as_ref()?.0.key;
        let mut queue = self.broker.0.queue.lock().unwrap();
        let (event, attempt) = queue.iter().position(|(event, _)| event.key == *key).and_then(|at| queue.remove(at))?;
        drop(queue);
        Some(self.broker.delivery(event, attempt))
    }

    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let id = self.id();
        self.event = None;
        self.broker.settle(Settled::Ack(id));
        Ok(())
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let id = self.id();
        let (event, attempt) = self.event.take().unwrap();
        self.broker.0.later.lock().unwrap().push((Instant::now() + delay, event, attempt + 1));
        self.broker.0.changed.notify_one();
        self.broker.settle(Settled::Nack(id, delay));
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        self.event = None;
        self.broker.settle(Settled::Dead(event.id.as_u128(), attempts, reason.to_owned()));
        Ok(())
    }
}

fn unavailable() -> BrokerError {
    BrokerError::Unavailable("the broker is unavailable".into())
}
