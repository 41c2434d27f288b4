//! RabbitMQ, 3.10 or later.
//!
//! **Topics** are exchanges. An event is sent to the partition of its key, persistently and with a publisher confirm;
//! the next event of a key is sent after the previous one is confirmed. Events that are published before a topic has a
//! group are stored for the first group. If somebody deletes the queues of the groups or their exchange, publishing fails
//! until a member has bound them again and has moved to them what was stored meanwhile: for five seconds, and for half a
//! minute if no member returns.
//!
//! **Groups** have one durable quorum queue per partition. The members assign the partitions among themselves: a member
//! has the partitions whose exclusive queue it holds as a lock, and delivers the events of a key one at a time. The
//! server releases the locks of a closed connection. Events that the previous member left unsettled return to the head
//! of the queue, in order, before the next member receives anything (single active consumer). A new member gets its
//! share after the others have settled their deliveries of it.
//!
//! **Settling.** A rejected event remains with its member, which delivers it again after its delay, and the following
//! events of its key after it. It must not return to the server earlier: a message that is delivered a second time,
//! even through a delay queue, gets behind later ones of its key. So a delay ends early when its member does. The
//! member counts attempts; another member continues from the server's count of returns. A partition stops when delayed
//! keys fill the buffer of its member, until their delays end. Events that the filter of a member excludes are
//! acknowledged as they are received.
//!
//! **Dead letters** are in a queue bound to the dead-letter exchange of the prefix. Messages that the server itself
//! dead-letters, such as by a policy, go there too.
//!
//! **Broadcast** uses a queue per subscription, which survives a lost connection for five minutes.
//!
//! Each subscription has its own connection, and publishing has another. All reconnect forever with backoff; without a
//! connection, publishing fails.

mod broadcast;
mod config;
mod dead_letters;
mod marker;
mod partition_consumer;
mod session;
mod topology;
mod unclaimed;
mod wire;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use kennel_config::Problems;
use kennel_core::broker::BrokerError;
use kennel_core::{Backoff, BoxError, Clock, Event, EventFilter, Group, Publisher, Subscriber, Subscription};
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::dead_letters::RabbitDeadLetters;

use self::broadcast::BroadcastSubscription;
use self::partition_consumer::PartitionConsumer;
use self::session::Session;
use self::topology::Names;
use self::unclaimed::Claims;
pub use crate::config::RabbitConfig;
use crate::delivery::Closed;
use crate::group::{DeliveryBuffer, GroupSubscription, partition, rounds};
use crate::{Broker, ConnectError, Lag};

/// Time limit of an operation on the server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may reject the declarations of a subscription before the subscriber gets the error.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for members to return their unsettled events when the broker is closed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for closing the connection after that; shorter than the remaining shutdown time.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

fn unavailable(error: impl Into<BoxError>) -> BrokerError {
    BrokerError::Unavailable(error.into())
}

/// Delays between attempts to reconnect.
const RECONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));

/// Runs an operation with the time limit [`REQUEST_TIMEOUT`].
async fn with_timeout<T>(work: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    tokio::time::timeout(REQUEST_TIMEOUT, work).await.map_err(unavailable)?
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
    publisher: tokio::sync::Mutex<Option<Arc<PublishChannel>>>,
    /// By topic.
    claims: Mutex<HashMap<String, Claims>>,
    /// Number of subscriptions of this process per topic and group.
    groups: Mutex<HashMap<(String, String), usize>>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// A connection for publishing.
struct PublishChannel {
    session: Session,
    channel: Channel,
    /// Topics that are known to exist.
    topics: Mutex<HashSet<String>>,
}

impl RabbitBroker {
    /// Creates a broker whose subscriptions have unsettled deliveries of at most `in_flight` keys. The server may be
    /// unreachable.
    pub fn connect(
        config: &RabbitConfig,
        in_flight: NonZeroUsize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let server = Problems::resolve(|problems| config.server(problems))?;
        Ok(Self(Arc::new(Core {
            server,
            names: Names::new(&config.prefix),
            config: config.clone(),
            in_flight: in_flight.get(),
            clock,
            publisher: tokio::sync::Mutex::default(),
            claims: Mutex::default(),
            groups: Mutex::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Returns the dead-letter store of the groups of this prefix.
    pub fn dead_letters(&self) -> RabbitDeadLetters {
        RabbitDeadLetters::new(Arc::clone(&self.0))
    }
}

impl Core {
    fn check_open(&self) -> Result<(), Closed> {
        if self.closed.is_cancelled() { Err(Closed) } else { Ok(()) }
    }

    /// Returns the connection for publishing; a new one if the last one failed.
    async fn publisher(&self) -> Result<Arc<PublishChannel>, BrokerError> {
        let mut publisher = self.publisher.lock().await;
        if let Some(open) = publisher.as_ref().filter(|open| open.channel.status().connected()) {
            return Ok(Arc::clone(open));
        }
        *publisher = None;
        let created = with_timeout(async {
            let session = Session::open(self).await?;
            let channel = session.confirming().await?;
            Ok(Arc::new(PublishChannel { session, channel, topics: Mutex::default() }))
        });
        let created = created.await?;
        *publisher = Some(Arc::clone(&created));
        Ok(created)
    }

    /// Runs `work` with the connection for publishing, which is replaced after a failure.
    async fn with_publisher<T>(
        &self,
        work: impl AsyncFnOnce(&PublishChannel) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let publisher = self.publisher().await?;
        let done = with_timeout(work(&publisher)).await;
        if done.is_err() {
            self.publisher.lock().await.take_if(|now| Arc::ptr_eq(now, &publisher));
        }
        done
    }

    /// Creates a topic unless this connection knows that it exists.
    async fn topic(&self, publisher: &PublishChannel, topic: &str) -> Result<(), BrokerError> {
        if publisher.topics.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Ok(());
        }
        topology::topic(&publisher.session, &publisher.channel, &self.names, topic).await?;
        if topology::is_grouped(&publisher.session, &self.names, topic).await? {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            claims.entry(topic.to_owned()).or_default().has_group = true;
        }
        publisher.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(())
    }

    /// Sends an event to its topic; returns after it is stored.
    async fn store(&self, publisher: &PublishChannel, event: &Event) -> Result<(), BrokerError> {
        let key = partition(&event.key, self.config.partitions.get()).to_string();
        let (exchange, properties) = (self.names.topic(&event.topic), wire::properties(event, None));
        send(&publisher.channel, exchange, key.into(), &event.data, properties).await
    }

    /// Returns whether events may be published to a topic, so that groups receive them in order.
    async fn may_publish(&self, publisher: &PublishChannel, topic: &str) -> Result<bool, BrokerError> {
        // Without this binding, the server would route the events to broadcast queues only.
        topology::bind_groups(&publisher.channel, &self.names, topic).await?;
        let unclaimed = unclaimed::count(&publisher.channel, &self.names, topic).await?;
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(claims.entry(topic.to_owned()).or_default().may_publish(unclaimed, Instant::now()))
    }

    fn note_published(&self, batch: &[Event]) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics(batch) {
            if let Some(claims) = claims.get_mut(topic) {
                claims.has_published = true;
            }
        }
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

    /// Returns the number of events in the queues of a group.
    async fn lag_of(&self, channel: &Channel, topic: &str, group: &str) -> Result<u64, BrokerError> {
        let mut events = 0;
        for partition in 0..self.config.partitions.get() {
            let queue = self.names.queue(topic, group, partition);
            events += u64::from(topology::inspect(channel, queue).await?.message_count());
        }
        Ok(events)
    }
}

fn topics<'a>(events: impl IntoIterator<Item = &'a Event>) -> HashSet<&'a str> {
    events.into_iter().map(|event| event.topic.as_str()).collect()
}

/// Sends a message; returns after the server confirmed it.
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
        Confirmation::Ack(Some(_)) => Err(unavailable("no queue accepted the message")),
        _ => Err(unavailable("the server rejected the message")),
    }
}

#[async_trait]
impl Publisher for RabbitBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.check_open()?;
        if batch.is_empty() {
            return Ok(());
        }
        let published = self.0.with_publisher(async |publisher| {
            for topic in topics(batch) {
                self.0.topic(publisher, topic).await?;
            }
            for round in rounds(batch) {
                let may = topics(round.iter().copied()).into_iter().map(|topic| self.0.may_publish(publisher, topic));
                if try_join_all(may).await?.contains(&false) {
                    return Ok(false);
                }
                try_join_all(round.into_iter().map(|event| self.0.store(publisher, event))).await?;
            }
            Ok(true)
        });
        if !published.await? {
            return Err(unavailable("earlier events wait until a member of a group moves them to its queues"));
        }
        self.0.note_published(batch);
        Ok(())
    }
}

#[async_trait]
impl Subscriber for RabbitBroker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.0.check_open()?;
        let core = Arc::clone(&self.0);
        let Group::Shared(group) = group else {
            return Ok(Box::new(BroadcastSubscription::new(core, topic, filter).await?));
        };
        let buffer = DeliveryBuffer::new(group, core.in_flight, Arc::clone(&core.clock), core.tasks.clone());
        let leaving = core.closed.child_token();
        let joined = PartitionConsumer::join(core, (topic, group), filter, Arc::clone(&buffer)).await?;
        let (partition_consumer, membership) = joined;
        self.0.tasks.spawn(partition_consumer.run(membership, leaving.clone()));
        Ok(Box::new(GroupSubscription::new(buffer, leaving.drop_guard())))
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    fn system(&self) -> &'static str {
        "rabbitmq"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.0.check_open()?;
        self.0.with_publisher(async |publisher| publisher.session.channel().await.map(|_| ())).await
    }

    /// Deliveries that members have received are not counted.
    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        self.0.check_open()?;
        let groups: Vec<_> = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let lags = self.0.with_publisher(async |publisher| {
            let channel = publisher.session.channel().await?;
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
        // The server requeues unreturned events when the connection closes.
        let _late = tokio::time::timeout(LEAVE_TIMEOUT, self.0.tasks.wait()).await;
        let closing = async {
            if let Some(publisher) = self.0.publisher.lock().await.take() {
                publisher.session.close().await;
            }
        };
        // A broken connection may never respond; it ends with the process.
        let _late = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}
