//! The broker inside the process.
//!
//! It has no disk, so it never says that it has an event: [`Publisher::publish`] returns only once every
//! [`Group::Shared`] group that ever joined the topic in this process has settled each event of the batch. An outbox
//! row therefore stays pending until its event was really dealt with; after a crash the relay publishes it again, and
//! the inbox makes its effect happen once. On a topic without such groups, publishing returns at once.
//!
//! Within a group the events of a key come one after the other: the next one waits until the one before is settled,
//! through its delays too. Keys do not wait for each other. An event published again while a group still has it
//! unsettled is not queued a second time: both publishers wait for the one.
//!
//! Broadcast subscriptions get events at once and hold no one up; a slow one is told by [`Lagged`] how many it lost.

mod group;
mod subscription;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Clock, DeadLetterSink, Event, Group, Publisher, Subscriber, Subscription};
use tokio::sync::{Notify, broadcast};

use self::group::{GroupState, Ticket};
use self::subscription::{Listener, Member};
use crate::{Broker, Lag};

/// A broadcast subscription was too slow and has lost its oldest events. Source of a [`BrokerError::Backend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subscription was too slow and lost {missed} events")]
pub struct Lagged {
    /// How many.
    pub missed: u64,
}

/// The broker was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broker is closed")]
struct Closed;

impl From<Closed> for BrokerError {
    fn from(closed: Closed) -> Self {
        Self::Unavailable(closed.into())
    }
}

/// Bounds of a [`MemoryBroker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events that a subscription may hold unsettled.
    pub in_flight: NonZeroUsize,
    /// Unsettled events of a group before publishing waits.
    pub queue: NonZeroUsize,
    /// Events held for a slow broadcast subscription before it loses the oldest.
    pub broadcast_buffer: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self { in_flight: limit(64), queue: limit(10_000), broadcast_buffer: limit(1_024) }
    }
}

/// See the [module](self). Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Core>);

struct Core {
    state: Mutex<State>,
    room: Notify,
    ids: AtomicU64,
    limits: Limits,
    sink: Arc<dyn DeadLetterSink>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    closed: bool,
    topics: HashMap<String, Topic>,
}

#[derive(Default)]
struct Topic {
    groups: HashMap<String, GroupState>,
    broadcast: Option<broadcast::Sender<Arc<Event>>>,
}

impl MemoryBroker {
    /// A broker whose dead letters go to `sink`.
    pub fn new(limits: Limits, sink: Arc<dyn DeadLetterSink>, clock: Arc<dyn Clock>) -> Self {
        let (state, room, ids) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        Self(Arc::new(Core { state, room, ids, limits, sink, clock }))
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, Closed> {
        let state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state) }
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Works on a group that someone has joined.
    fn with_group<T>(&self, topic: &str, group: &str, work: impl FnOnce(&mut GroupState) -> T) -> Result<T, Closed> {
        let mut state = self.open()?;
        let group = state.topics.get_mut(topic).and_then(|topic| topic.groups.get_mut(group));
        group.map(work).ok_or(Closed)
    }

    /// Hands the event to all who have joined its topic, as soon as every group has room for it.
    async fn offer(&self, event: &Event, ticket: &Arc<Ticket>) -> Result<(), Closed> {
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.try_offer(event, ticket)? {
                return Ok(());
            }
            room.await;
        }
    }

    fn try_offer(&self, event: &Event, ticket: &Arc<Ticket>) -> Result<bool, Closed> {
        let mut state = self.open()?;
        let Some(topic) = state.topics.get_mut(&event.topic) else {
            return Ok(true);
        };
        let limit = self.limits.queue.get();
        if topic.groups.values().any(|group| !group.has_room(event, limit)) {
            return Ok(false);
        }
        for group in topic.groups.values_mut() {
            group.offer(event, ticket);
        }
        if let Some(broadcast) = &topic.broadcast {
            // Fails only when no one listens.
            let _listeners = broadcast.send(Arc::new(event.clone()));
        }
        Ok(true)
    }

    async fn settled(&self, ticket: &Ticket) -> Result<(), Closed> {
        while !ticket.is_settled() {
            drop(self.open()?);
            ticket.changed().await;
        }
        Ok(())
    }

    fn join(self: &Arc<Self>, topic: &str, group: &str) -> Result<Member, Closed> {
        let mut state = self.open()?;
        let topic_state = state.topics.entry(topic.to_owned()).or_default();
        let group_state = topic_state.groups.entry(group.to_owned()).or_default();
        let id = self.next_id();
        let arrivals = group_state.enter(id);
        Ok(Member { core: Arc::clone(self), topic: topic.to_owned(), group: group.to_owned(), id, arrivals })
    }

    fn listen(&self, topic: &str) -> Result<Listener, Closed> {
        let mut state = self.open()?;
        let topic = state.topics.entry(topic.to_owned()).or_default();
        let buffer = self.limits.broadcast_buffer.get();
        let sender = topic.broadcast.get_or_insert_with(|| broadcast::Sender::new(buffer));
        Ok(Listener(sender.subscribe()))
    }
}

#[async_trait]
impl Publisher for MemoryBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        let ticket = Arc::new(Ticket::default());
        for event in batch {
            self.0.offer(event, &ticket).await?;
        }
        Ok(self.0.settled(&ticket).await?)
    }
}

#[async_trait]
impl Subscriber for MemoryBroker {
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        Ok(match group {
            Group::Shared(name) => Box::new(self.0.join(topic, name)?),
            Group::Broadcast => Box::new(self.0.listen(topic)?),
        })
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn system(&self) -> &'static str {
        "memory"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        drop(self.0.open()?);
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        let state = self.0.open()?;
        let groups =
            state.topics.iter().flat_map(|(topic, state)| state.groups.iter().map(move |group| (topic, group)));
        let lag = |(topic, (group, state)): (&String, (&String, &GroupState))| {
            let events = u64::try_from(state.unsettled()).unwrap_or(u64::MAX);
            Lag { topic: topic.clone(), group: group.clone(), events }
        };
        Ok(groups.map(lag).collect())
    }

    async fn close(&self) {
        let topics = {
            let mut state = self.0.lock();
            state.closed = true;
            std::mem::take(&mut state.topics)
        };
        for group in topics.values().flat_map(|topic| topic.groups.values()) {
            group.wake_all();
        }
        self.0.room.notify_waiters();
    }
}
