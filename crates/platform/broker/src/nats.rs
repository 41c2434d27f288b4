//! NATS with JetStream, 2.9 or later.
//!
//! **Topics** are streams with one subject per partition, and are found by their subjects. An event goes to the
//! partition of its key, with its id as `Nats-Msg-Id`, so that an event that is published again within two minutes is
//! stored once. The next event of a key is sent after the previous one is stored.
//!
//! **Groups** have one durable pull consumer per partition. The members assign the partitions among themselves: a
//! partition has one member at a time, by a lease in a stream of the prefix, and that member delivers the events of a
//! key one at a time. A new member gets its share after the others have settled their deliveries of it. The partitions
//! of a killed member are taken over when its leases expire. A member that takes over a partition waits until it has
//! received everything that the previous member left unsettled, which preserves the order of each key. A new group
//! starts with the oldest event.
//!
//! **Settling.** The server confirms acks. A rejected event is returned to the server, which counts attempts and
//! applies the delay; events of the same key that were received already wait for it in the member. The server also
//! counts events that a member had prefetched and returned, so an attempt number can be higher than the number of
//! deliveries. A partition stops when delayed keys fill the buffer of its member, until their delays end. Events that
//! the filter of a member excludes are acknowledged as they are received, without a confirmation; the member does the
//! same when one is redelivered.
//!
//! **Dead letters** are in a stream of the prefix, with one subject per event and group.
//!
//! **Broadcast** reads the stream of the topic from its end, and resumes where it was after an outage.
//!
//! The driver reconnects forever, with backoff. While there is no connection, publishing fails after a few seconds, and
//! members wait.

mod broadcast;
mod config;
mod dead_letters;
mod leases;
mod partition_consumer;
mod pull;
mod streams;
mod wire;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{Config as StreamConfig, StorageType};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, ServerAddr};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use kennel_config::Problems;
use kennel_core::broker::BrokerError;
use kennel_core::{Backoff, BoxError, Clock, Event, EventFilter, Group, Publisher, Subscriber, Subscription};
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::dead_letters::NatsDeadLetters;

use self::broadcast::BroadcastSubscription;
use self::partition_consumer::PartitionConsumer;
use self::streams::StreamState;
use self::wire::Names;
pub use crate::config::NatsConfig;
use crate::delivery::Closed;
use crate::group::{DeliveryBuffer, GroupSubscription, rounds};
use crate::{Broker, ConnectError, Lag};

/// Time limit of a request to the server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for members to return their unsettled events when the broker is closed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server deduplicates events by id.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

fn unavailable(error: impl Into<BoxError>) -> BrokerError {
    BrokerError::Unavailable(error.into())
}

/// Delays between attempts to reconnect.
const RECONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));

/// See the [module](self). Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct NatsBroker(Arc<Core>);

struct Core {
    client: Client,
    jetstream: jetstream::Context,
    config: NatsConfig,
    names: Names,
    in_flight: usize,
    clock: Arc<dyn Clock>,
    /// The last known state of streams, by the name that they have at first.
    streams: Mutex<HashMap<String, StreamState>>,
    /// Number of subscriptions of this process per topic and group.
    groups: Mutex<HashMap<(String, String), usize>>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl NatsBroker {
    /// Creates a broker whose subscriptions have unsettled deliveries of at most `in_flight` keys. The server may be
    /// unreachable.
    pub async fn connect(
        config: &NatsConfig,
        in_flight: NonZeroUsize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let servers = Problems::resolve(|problems| config.servers(problems))?;
        let options = login(&servers)
            .name("kennel")
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempt| RECONNECT_BACKOFF.delay(u32::try_from(attempt).unwrap_or(u32::MAX)))
            .ping_interval(Duration::from_secs(5))
            .request_timeout(Some(REQUEST_TIMEOUT));
        let client = options.connect(servers).await.map_err(unavailable)?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        Ok(Self(Arc::new(Core {
            client,
            jetstream,
            names: Names::new(&config.prefix),
            config: config.clone(),
            in_flight: in_flight.get(),
            clock,
            streams: Mutex::default(),
            groups: Mutex::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Returns the dead-letter store of the groups of this prefix.
    pub fn dead_letters(&self) -> NatsDeadLetters {
        NatsDeadLetters::new(Arc::clone(&self.0))
    }
}

/// Returns options with the credentials of the URL, which the client does not apply itself.
fn login(servers: &[ServerAddr]) -> ConnectOptions {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let named = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match named {
        Some((user, Some(password))) => ConnectOptions::with_user_and_password(plain(user), plain(password)),
        Some((token, None)) => ConnectOptions::with_token(plain(token)),
        None => ConnectOptions::new(),
    }
}

impl Core {
    fn check_open(&self) -> Result<(), Closed> {
        if self.closed.is_cancelled() { Err(Closed) } else { Ok(()) }
    }

    /// The stream of the members' heartbeats and partition leases.
    async fn groups_stream(&self) -> Result<(), BrokerError> {
        let created = self.create_stream(StreamConfig {
            name: self.names.groups_stream(),
            subjects: vec![self.names.groups_subjects()],
            max_age: self.config.lease,
            max_messages_per_subject: 1,
            storage: StorageType::Memory,
            ..StreamConfig::default()
        });
        created.await
    }

    /// Stores an event, deduplicated by `name`.
    async fn store(&self, event: &Event, name: &str) -> Result<(), BrokerError> {
        let subject = self.names.subject(event, self.config.partitions.get());
        let message = wire::message(event, &[("Nats-Msg-Id", name)])?.outbound_message(subject);
        let headers = message.headers.unwrap_or_default();
        let sent = self.jetstream.publish_with_headers(message.subject, headers, message.payload).await;
        let stored = match sent {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        stored.map(|_| ()).map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => {
                self.mark_topic_lost(&event.topic);
                unavailable(error)
            }
            PublishErrorKind::MaxPayloadExceeded => BrokerError::Backend(error.into()),
            PublishErrorKind::Other if code(&error) == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => {
                BrokerError::Backend(error.into())
            }
            _ => unavailable(error),
        })
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

    async fn lag_of(&self, topic: &str, group: &str) -> Result<u64, BrokerError> {
        let stream = self.jetstream.get_stream_no_info(self.topic(topic).await?).await.map_err(unavailable)?;
        let infos = (0..self.config.partitions.get()).map(|partition| {
            let (stream, name) = (stream.clone(), Names::consumer(group, partition));
            async move { stream.consumer_info(name).await }
        });
        let infos = try_join_all(infos).await.map_err(unavailable)?;
        Ok(infos.iter().map(|info| info.num_pending + info.num_ack_pending as u64).sum())
    }
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    error.source()?.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code)
}

#[async_trait]
impl Publisher for NatsBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.check_open()?;
        let topics: HashSet<_> = batch.iter().map(|event| event.topic.as_str()).collect();
        for topic in topics {
            self.0.topic(topic).await?;
        }
        for round in rounds(batch) {
            let stored = round.into_iter().map(|event| async move { self.0.store(event, &event.id.to_string()).await });
            try_join_all(stored).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Subscriber for NatsBroker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.0.check_open()?;
        self.0.topic_stream(topic).await?;
        let Group::Shared(group) = group else {
            return Ok(Box::new(BroadcastSubscription::new(Arc::clone(&self.0), topic, filter).await?));
        };
        let core = Arc::clone(&self.0);
        let buffer = DeliveryBuffer::new(group, core.in_flight, Arc::clone(&core.clock), core.tasks.clone());
        let leaving = core.closed.child_token();
        let partition_consumer = PartitionConsumer::join(core, (topic, group), filter, Arc::clone(&buffer)).await?;
        self.0.tasks.spawn(partition_consumer.run(leaving.clone()));
        Ok(Box::new(GroupSubscription::new(buffer, leaving.drop_guard())))
    }
}

#[async_trait]
impl Broker for NatsBroker {
    fn system(&self) -> &'static str {
        "nats"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.0.check_open()?;
        if self.0.client.connection_state() != State::Connected {
            return Err(unavailable("not connected"));
        }
        // The content of the response differs between versions; any response is enough.
        let response: Result<serde_json::Value, _> = self.0.jetstream.request("INFO", &()).await;
        response.map_err(unavailable)?;
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        self.0.check_open()?;
        let groups: Vec<_> = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut lags = Vec::with_capacity(groups.len());
        for (topic, group) in groups {
            let events = self.0.lag_of(&topic, &group).await?;
            lags.push(Lag { topic, group, events });
        }
        Ok(lags)
    }

    async fn close(&self) {
        self.0.closed.cancel();
        self.0.tasks.close();
        // The server redelivers unreturned events after their ack wait.
        let _late = tokio::time::timeout(LEAVE_TIMEOUT, self.0.tasks.wait()).await;
        let _closed = self.0.client.drain().await;
    }
}
