//! The in-process broker. The services of one process share it.
//!
//! It stores nothing on disk and so cannot acknowledge an event as durable: [`Publisher::publish`] returns after every
//! [`Group::Shared`] group that ever joined the topic in this process has settled each event of the batch. An outbox
//! row therefore stays pending until its event has been processed. After a crash the relay publishes it again, and the
//! inbox makes the effect exactly-once. On a topic without such groups, publishing returns immediately.
//!
//! Within a group the events of a key are delivered one at a time, unless the receiver asks for its successors: the next one
//! follows after the previous is settled, including its delays. Keys are independent. An event that is published again while a group has not settled it is not
//! queued twice: both publishers wait for the same delivery. An event that the filter of the group excludes is not queued
//! and delays no publisher. The filter is that of the latest subscription, also while the group has no members; events
//! that were queued before it are settled when a member reaches them.
//!
//! Broadcast subscriptions receive events immediately and delay nobody; a slow one gets [`Lagged`] with the number of
//! events it lost.

mod group;
mod subscription;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Clock, DeadLetterSink, Event, EventFilter, Group, Publisher, Subscriber, Subscription};
use tokio::sync::{Notify, broadcast};

use self::group::{GroupState, PublishTicket};
use self::subscription::{BroadcastSubscription, GroupSubscription, Member};
use crate::delivery::Closed;
use crate::{Broker, Lag};

/// A broadcast subscription was too slow and lost its oldest events. Source of a [`BrokerError::Backend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subscription was too slow and lost {missed} events")]
pub struct Lagged {
    /// Number of lost events.
    pub missed: u64,
}

/// Limits of a [`MemoryBroker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of keys with unsettled deliveries of a subscription.
    pub in_flight: NonZeroUsize,
    /// Maximum number of unsettled events of a group; publishing waits above it.
    pub queue: NonZeroUsize,
    /// Maximum number of events stored for a slow broadcast subscription; above it, the oldest are lost.
    pub broadcast_buffer: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self { in_flight: limit(256), queue: limit(10_000), broadcast_buffer: limit(1_024) }
    }
}

/// See the [module](self). Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct MemoryBroker {
    core: Arc<Core>,
    sink: Arc<dyn DeadLetterSink>,
    /// The groups that were joined through this value and its clones.
    groups: Arc<Mutex<HashSet<String>>>,
}

/// The in-process broker that the services of a process share. The first one that connects creates it.
#[derive(Clone, Default)]
pub struct SharedBroker(Arc<OnceLock<MemoryBroker>>);

struct Core {
    state: Mutex<MemoryState>,
    capacity: Notify,
    ids: AtomicU64,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct MemoryState {
    closed: bool,
    topics: HashMap<String, MemoryTopic>,
}

#[derive(Default)]
struct MemoryTopic {
    groups: HashMap<String, GroupState>,
    broadcast: Option<broadcast::Sender<Arc<Event>>>,
}

impl MemoryBroker {
    /// Creates a broker whose dead letters go to `sink`.
    pub fn new(limits: Limits, sink: Arc<dyn DeadLetterSink>, clock: Arc<dyn Clock>) -> Self {
        let (state, capacity, ids) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        let core = Arc::new(Core { state, capacity, ids, limits, clock });
        Self { core, sink, groups: Arc::default() }
    }

    /// The same broker for another service of the process: the dead letters of its groups go to `sink`, and it reports the
    /// lag of its groups. Closing one closes all.
    #[must_use]
    pub fn with_sink(&self, sink: Arc<dyn DeadLetterSink>) -> Self {
        Self { core: Arc::clone(&self.core), sink, groups: Arc::default() }
    }

    fn lock_groups(&self) -> MutexGuard<'_, HashSet<String>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedBroker {
    /// The broker for a service whose dead letters go to `sink`.
    pub(crate) fn connect(&self, limits: Limits, sink: Arc<dyn DeadLetterSink>, clock: Arc<dyn Clock>) -> MemoryBroker {
        self.0.get_or_init(|| MemoryBroker::new(limits, Arc::clone(&sink), clock)).with_sink(sink)
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, MemoryState>, Closed> {
        let state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state) }
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls `work` with a group that has been joined.
    fn with_group<T>(&self, topic: &str, group: &str, work: impl FnOnce(&mut GroupState) -> T) -> Result<T, Closed> {
        let mut state = self.open()?;
        let group = state.topics.get_mut(topic).and_then(|topic| topic.groups.get_mut(group));
        group.map(work).ok_or(Closed)
    }

    /// Queues the event for every group and broadcast subscription of its topic, when every group has capacity for it.
    async fn enqueue(&self, event: &Event, ticket: &Arc<PublishTicket>) -> Result<(), Closed> {
        loop {
            let mut capacity = pin!(self.capacity.notified());
            capacity.as_mut().enable();
            if self.try_enqueue(event, ticket)? {
                return Ok(());
            }
            capacity.await;
        }
    }

    fn try_enqueue(&self, event: &Event, ticket: &Arc<PublishTicket>) -> Result<bool, Closed> {
        let mut state = self.open()?;
        let Some(topic) = state.topics.get_mut(&event.topic) else {
            return Ok(true);
        };
        let limit = self.limits.queue.get();
        if topic.groups.values().any(|group| !group.has_capacity(event, limit)) {
            return Ok(false);
        }
        let event = Arc::new(event.clone());
        for group in topic.groups.values_mut() {
            group.push(&event, ticket);
        }
        if let Some(broadcast) = &topic.broadcast {
            // Fails only without subscriptions.
            let _no_subscriptions = broadcast.send(event);
        }
        Ok(true)
    }

    async fn settled(&self, ticket: &PublishTicket) -> Result<(), Closed> {
        while !ticket.is_settled() {
            drop(self.open()?);
            ticket.changed().await;
        }
        Ok(())
    }

    fn join(
        self: &Arc<Self>,
        topic: &str,
        group: &str,
        filter: &EventFilter,
        sink: Arc<dyn DeadLetterSink>,
    ) -> Result<GroupSubscription, Closed> {
        let mut state = self.open()?;
        let topic_state = state.topics.entry(topic.to_owned()).or_default();
        let group_state = topic_state.groups.entry(group.to_owned()).or_default();
        let member = self.next_id();
        let changed = group_state.join(member, filter);
        // A publisher may wait for capacity for an event that the group excludes now.
        self.capacity.notify_waiters();
        let (core, topic, group) = (Arc::clone(self), topic.to_owned(), group.to_owned());
        Ok(GroupSubscription { member: Member { core, sink, topic, group, id: member }, changed })
    }

    fn subscribe_broadcast(&self, topic: &str, filter: &EventFilter) -> Result<BroadcastSubscription, Closed> {
        let mut state = self.open()?;
        let topic = state.topics.entry(topic.to_owned()).or_default();
        let buffer = self.limits.broadcast_buffer.get();
        let sender = topic.broadcast.get_or_insert_with(|| broadcast::Sender::new(buffer));
        Ok(BroadcastSubscription { events: sender.subscribe(), filter: filter.clone() })
    }
}

#[async_trait]
impl Publisher for MemoryBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        let ticket = Arc::new(PublishTicket::default());
        for event in batch {
            self.core.enqueue(event, &ticket).await?;
        }
        Ok(self.core.settled(&ticket).await?)
    }
}

#[async_trait]
impl Subscriber for MemoryBroker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        Ok(match group {
            Group::Shared(name) => {
                let member = self.core.join(topic, name, filter, Arc::clone(&self.sink))?;
                self.lock_groups().insert(name.clone());
                Box::new(member)
            }
            Group::Broadcast => Box::new(self.core.subscribe_broadcast(topic, filter)?),
        })
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn system(&self) -> &'static str {
        "memory"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        drop(self.core.open()?);
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        let (state, own) = (self.core.open()?, self.lock_groups());
        let groups =
            state.topics.iter().flat_map(|(topic, state)| state.groups.iter().map(move |group| (topic, group)));
        let groups = groups.filter(|(_, (name, _))| own.contains(*name));
        let lag = |(topic, (group, state)): (&String, (&String, &GroupState))| {
            let events = u64::try_from(state.unsettled()).unwrap_or(u64::MAX);
            Lag { topic: topic.clone(), group: group.clone(), events }
        };
        Ok(groups.map(lag).collect())
    }

    async fn close(&self) {
        let topics = {
            let mut state = self.core.lock();
            state.closed = true;
            std::mem::take(&mut state.topics)
        };
        for group in topics.values().flat_map(|topic| topic.groups.values()) {
            group.wake_all();
        }
        self.core.capacity.notify_waiters();
    }
}
