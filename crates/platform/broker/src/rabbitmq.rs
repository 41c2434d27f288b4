//! RabbitMQ, 3.10 or later.
//!
//! **Topics** are exchanges. An event is sent to the partition of its key, to the disk, with a confirm; a key's next
//! event is sent when the one before is confirmed. What a topic is told before it has a group is kept for the first.
//!
//! **Groups** have a durable quorum queue for each partition. The members share the partitions out among themselves: a
//! member has those whose exclusive queue, which serves as a lock, it holds, and hands the events of a key out one
//! after the other. The server frees the locks of a connection that is gone. What the one before left unsettled goes
//! back to the head of the queue, in order, before the next one gets anything (single active consumer). A new member
//! gets its part once the others have settled what they hold of it.
//!
//! **Settling.** A refused event stays with its member, which gives it again after its delay, and those of its key
//! after it. The server must not have it back before: what is delivered a second time, be it from a queue that delays,
//! falls behind those of its key. So a delay ends early when its member does, and attempts are counted by the member;
//! at another one the count goes on from the times that the server has handed the event on. A partition whose keys in
//! trouble fill a member's buffer stands still until their delays are over.
//!
//! **Dead letters** are in a queue behind the dead-letter exchange of the prefix. What the server itself gives up on,
//! as by a policy, goes there as well.
//!
//! **Broadcast** has a queue of its own, which outlives a lost connection for five minutes.
//!
//! Each subscription has a connection of its own, mended for ever with backoff; so is that for publishing, which fails
//! while there is none.

mod config;
mod feed;
mod letters;
mod listener;
mod session;
mod topology;
mod wire;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use kennel_core::broker::BrokerError;
use kennel_core::{BoxError, Clock, Event, Group, Publisher, Subscriber, Subscription};
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::RabbitConfig;
pub use self::letters::RabbitDeadLetters;

use self::feed::Feed;
use self::listener::Listener;
use self::session::Session;
use self::topology::Names;
use crate::group::{Closed, Member, Shared, partition, parts};
use crate::{Broker, ConnectError, Lag};

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a server may refuse what a subscription needs before the subscriber hears of it.
const REFUSED: Duration = Duration::from_secs(10);
/// How long members may take to hand back what they hold when the broker is closed.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the connection may take to close after that: less than what is left of the time for a stop.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

fn unavailable(error: impl Into<BoxError>) -> BrokerError {
    BrokerError::Unavailable(error.into())
}

/// The n-th wait for the server to come back.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(50 * 2_u64.pow(attempt.min(6))).min(Duration::from_secs(3))
}

/// Does some work with the server that has to end within [`ANSWER`].
async fn answered<T>(work: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    tokio::time::timeout(ANSWER, work).await.map_err(unavailable)?
}

/// See the [module](self). Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct RabbitBroker(Arc<Core>);

struct Core {
    server: AMQPUri,
    config: RabbitConfig,
    names: Names,
    in_flight: usize,
    clock: Arc<dyn Clock>,
    publishing: tokio::sync::Mutex<Option<Arc<Publishing>>>,
    /// How many subscriptions of this process each group on a topic has.
    groups: Mutex<HashMap<(String, String), usize>>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// A connection to publish by.
struct Publishing {
    session: Session,
    channel: Channel,
    /// Topics that are known to be there.
    topics: Mutex<HashSet<String>>,
}

impl RabbitBroker {
    /// A broker whose subscriptions hold `in_flight` events at most. The server need not be there yet.
    pub fn connect(
        config: &RabbitConfig,
        in_flight: NonZeroUsize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        config.check()?;
        Ok(Self(Arc::new(Core {
            server: config.server()?,
            names: Names::new(&config.prefix),
            config: config.clone(),
            in_flight: in_flight.get(),
            clock,
            publishing: tokio::sync::Mutex::default(),
            groups: Mutex::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// The dead letters of the groups of this prefix.
    pub fn dead_letters(&self) -> RabbitDeadLetters {
        RabbitDeadLetters::new(Arc::clone(&self.0))
    }
}

impl Core {
    fn open(&self) -> Result<(), Closed> {
        if self.closed.is_cancelled() { Err(Closed) } else { Ok(()) }
    }

    /// The connection to publish by; a new one when the last one failed.
    async fn publishing(&self) -> Result<Arc<Publishing>, BrokerError> {
        let mut publishing = self.publishing.lock().await;
        if let Some(open) = publishing.as_ref().filter(|open| open.channel.status().connected()) {
            return Ok(Arc::clone(open));
        }
        *publishing = None;
        let made = answered(async {
            let session = Session::open(self).await?;
            let channel = session.confirming().await?;
            Ok(Arc::new(Publishing { session, channel, topics: Mutex::default() }))
        });
        let made = made.await?;
        *publishing = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Does something with the connection to publish by, and has the next one take a new connection if that fails.
    async fn by<T>(&self, work: impl AsyncFnOnce(&Publishing) -> Result<T, BrokerError>) -> Result<T, BrokerError> {
        let publishing = self.publishing().await?;
        let done = answered(work(&publishing)).await;
        if done.is_err() {
            self.publishing.lock().await.take_if(|now| Arc::ptr_eq(now, &publishing));
        }
        done
    }

    /// Makes a topic on this connection unless it is known to be there.
    async fn topic(&self, publishing: &Publishing, topic: &str) -> Result<(), BrokerError> {
        if publishing.topics.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Ok(());
        }
        topology::topic(&publishing.session, &publishing.channel, &self.names, topic).await?;
        publishing.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(())
    }

    /// Sends an event to its topic and waits until it is stored.
    async fn store(&self, publishing: &Publishing, event: &Event) -> Result<(), BrokerError> {
        let key = partition(&event.key, self.config.partitions.get()).to_string();
        let (exchange, properties) = (self.names.topic(&event.topic), wire::properties(event, None));
        send(&publishing.channel, exchange, key.into(), &event.data, properties).await
    }

    fn count_group(&self, topic: &str, group: &str, by: isize) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (topic.to_owned(), group.to_owned());
        let count = groups.entry(name.clone()).or_default();
        *count = count.saturating_add_signed(by);
        if *count == 0 {
            groups.remove(&name);
        }
    }

    /// What waits in the queues of a group.
    async fn lag_of(&self, channel: &Channel, topic: &str, group: &str) -> Result<u64, BrokerError> {
        let mut events = 0;
        for partition in 0..self.config.partitions.get() {
            let queue = self.names.queue(topic, group, partition);
            let options = QueueDeclareOptions::durable().passive();
            let queue = channel.queue_declare(queue, options, FieldTable::default()).await.map_err(unavailable)?;
            events += u64::from(queue.message_count());
        }
        Ok(events)
    }
}

/// Sends a message and waits until the server has it.
async fn send(
    channel: &Channel,
    exchange: ShortString,
    key: ShortString,
    data: &[u8],
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange, key, options, data, properties).await.map_err(unavailable)?;
    match sent.await.map_err(unavailable)? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(unavailable("no queue takes the message")),
        _ => Err(unavailable("the server does not take the message")),
    }
}

#[async_trait]
impl Publisher for RabbitBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.open()?;
        if batch.is_empty() {
            return Ok(());
        }
        let published = self.0.by(async |publishing| {
            let topics: HashSet<_> = batch.iter().map(|event| event.topic.as_str()).collect();
            for topic in topics {
                self.0.topic(publishing, topic).await?;
                // Without it, the server would take the events for listeners alone.
                topology::bind_groups(&publishing.channel, &self.0.names, topic).await?;
            }
            for part in parts(batch) {
                try_join_all(part.into_iter().map(|event| self.0.store(publishing, event))).await?;
            }
            Ok(())
        });
        published.await
    }
}

#[async_trait]
impl Subscriber for RabbitBroker {
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        self.0.open()?;
        let core = Arc::clone(&self.0);
        let Group::Shared(group) = group else {
            return Ok(Box::new(Listener::new(core, topic).await?));
        };
        let shared = Shared::new(group, core.in_flight, Arc::clone(&core.clock), core.tasks.clone());
        let leaving = core.closed.child_token();
        let (feed, place) = Feed::join(core, topic, group, Arc::clone(&shared)).await?;
        self.0.tasks.spawn(feed.run(place, leaving.clone()));
        Ok(Box::new(Member::new(shared, leaving.drop_guard())))
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    fn system(&self) -> &'static str {
        "rabbitmq"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.0.open()?;
        self.0.by(async |publishing| publishing.session.channel().await.map(|_| ())).await
    }

    /// What members hold is not among what is counted.
    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        self.0.open()?;
        let groups: Vec<_> = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let lags = self.0.by(async |publishing| {
            let channel = publishing.session.channel().await?;
            let mut lags = Vec::with_capacity(groups.len());
            for (topic, group) in groups {
                let events = self.0.lag_of(&channel, &topic, &group).await?;
                lags.push(Lag { topic, group, events });
            }
            session::close_channel(&channel).await;
            Ok(lags)
        });
        lags.await
    }

    async fn close(&self) {
        self.0.closed.cancel();
        self.0.tasks.close();
        // What was not handed back by then is handed back by the server when the connection ends.
        let _late = tokio::time::timeout(LEAVE_PATIENCE, self.0.tasks.wait()).await;
        let closing = async {
            if let Some(publishing) = self.0.publishing.lock().await.take() {
                publishing.session.close().await;
            }
        };
        // A connection that has just broken may never answer; it ends with the process.
        let _late = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
    }
}
