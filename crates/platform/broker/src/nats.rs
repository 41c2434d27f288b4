//! NATS with JetStream, 2.9 or later.
//!
//! **Topics** are streams with a subject for each partition; an event goes to the partition of its key, with its id as
//! `Nats-Msg-Id`, so that what is published again within two minutes is stored once. A key's next event is sent when
//! the one before is stored.
//!
//! **Groups** have a durable pull consumer for each partition. The members share the partitions out among themselves:
//! a partition has one member at a time, by a lease in a stream of the prefix, and that member hands the events of a
//! key out one after the other. A new member gets its part once the others have settled what they hold of it; the
//! partitions of one that was killed are taken over when its leases have run out. Whoever takes a partition over waits
//! until it has everything that the one before left unsettled, so that the order of a key holds then as well. A group
//! that is new begins with the oldest event there is.
//!
//! **Settling.** Acks are confirmed by the server. A refused event goes back to the server, which counts the attempts
//! and keeps the delay; those of its key that came with it wait for it here. Events that a member read ahead and had
//! to hand back were counted as well, so an attempt can be higher than the tries that were made. A partition whose
//! keys in trouble fill a member's buffer stands still until their delays are over.
//!
//! **Dead letters** are in a stream of the prefix, one subject for each event and group.
//!
//! **Broadcast** reads the topic's stream from the present on, and goes on where it was after an outage.
//!
//! Connections are mended by the driver, for ever, with backoff. While there is none, publishing fails after a few
//! seconds, and members wait.

mod config;
mod feed;
mod leases;
mod letters;
mod listener;
mod pull;
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
use kennel_core::broker::BrokerError;
use kennel_core::{BoxError, Clock, Event, Group, Publisher, Subscriber, Subscription};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::NatsConfig;
pub use self::letters::NatsDeadLetters;

use self::feed::Feed;
use self::listener::Listener;
use self::wire::Names;
use crate::group::{Closed, Member, Shared, parts};
use crate::{Broker, ConnectError, Lag};

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long members may take to hand back what they hold when the broker is closed.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long after a stream was missing it is created again. Version 2.9 removes the files of one under way, and those of a
/// new one of its name with them.
const REMOVAL: Duration = Duration::from_secs(1);
/// How long the server knows the ids of events.
const DUPLICATES: Duration = Duration::from_mins(2);

fn unavailable(error: impl Into<BoxError>) -> BrokerError {
    BrokerError::Unavailable(error.into())
}

/// The n-th wait for the server to come back.
fn backoff(attempt: usize) -> Duration {
    let steps = u32::try_from(attempt.min(6)).unwrap_or(6);
    Duration::from_millis(50 * 2_u64.pow(steps)).min(Duration::from_secs(3))
}

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
    /// What is known of the streams of topics.
    topics: Mutex<HashMap<String, Known>>,
    /// How many subscriptions of this process each group on a topic has.
    groups: Mutex<HashMap<(String, String), usize>>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// What is known of a stream.
#[derive(Clone, Copy)]
enum Known {
    There,
    /// It was there, and was missing at this time.
    Lost(Instant),
}

impl NatsBroker {
    /// A broker whose subscriptions hold `in_flight` events at most. The server need not be there yet.
    pub async fn connect(
        config: &NatsConfig,
        in_flight: NonZeroUsize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        config.check()?;
        let servers = config.servers()?;
        let options = login(&servers)
            .name("kennel")
            .retry_on_initial_connect()
            .reconnect_delay_callback(backoff)
            .ping_interval(Duration::from_secs(5))
            .request_timeout(Some(ANSWER));
        let client = options.connect(servers).await.map_err(unavailable)?;
        let jetstream =
            jetstream::context::ContextBuilder::new().timeout(ANSWER).ack_timeout(ANSWER).build(client.clone());
        Ok(Self(Arc::new(Core {
            client,
            jetstream,
            names: Names::new(&config.prefix),
            config: config.clone(),
            in_flight: in_flight.get(),
            clock,
            topics: Mutex::default(),
            groups: Mutex::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// The dead letters of the groups of this prefix.
    pub fn dead_letters(&self) -> NatsDeadLetters {
        NatsDeadLetters::new(Arc::clone(&self.0))
    }
}

/// Options with the user and the password that a URL holds, which the client itself leaves where they are.
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
    fn open(&self) -> Result<(), Closed> {
        if self.closed.is_cancelled() { Err(Closed) } else { Ok(()) }
    }

    /// Makes a stream unless it is there.
    async fn stream(&self, config: StreamConfig) -> Result<(), BrokerError> {
        let config = StreamConfig { num_replicas: self.config.replicas.get(), ..config };
        self.jetstream.get_or_create_stream(config).await.map_err(unavailable)?;
        Ok(())
    }

    async fn topic(&self, topic: &str) -> Result<(), BrokerError> {
        let known = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        match known {
            Some(Known::There) => Ok(()),
            _ => self.topic_stream(topic).await,
        }
    }

    /// Makes the stream of a topic unless the server has it.
    async fn topic_stream(&self, topic: &str) -> Result<(), BrokerError> {
        let known = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some(Known::Lost(at)) = known {
            sleep_until(at + REMOVAL).await;
        }
        let made = self.stream(StreamConfig {
            name: self.names.topic_stream(topic),
            subjects: vec![self.names.topic_subjects(topic)],
            max_age: self.config.retention,
            duplicate_window: DUPLICATES.min(self.config.retention),
            storage: StorageType::File,
            ..StreamConfig::default()
        });
        made.await?;
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), Known::There);
        Ok(())
    }

    fn forget_topic(&self, topic: &str) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known @ Known::There) = topics.get_mut(topic) {
            *known = Known::Lost(Instant::now());
            tracing::warn!(topic, "stream of the topic was lost; it is created again");
        }
    }

    /// The stream in which members show themselves and their partitions.
    async fn groups_stream(&self) -> Result<(), BrokerError> {
        let made = self.stream(StreamConfig {
            name: self.names.groups_stream(),
            subjects: vec![self.names.groups_subjects()],
            max_age: self.config.lease,
            max_messages_per_subject: 1,
            storage: StorageType::Memory,
            ..StreamConfig::default()
        });
        made.await
    }

    /// Stores an event. `name` is what the server knows it by.
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
                self.forget_topic(&event.topic);
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
        let stream = self.jetstream.get_stream_no_info(self.names.topic_stream(topic)).await.map_err(unavailable)?;
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
        self.0.open()?;
        let topics: HashSet<_> = batch.iter().map(|event| event.topic.as_str()).collect();
        for topic in topics {
            self.0.topic(topic).await?;
        }
        for part in parts(batch) {
            let stored = part.into_iter().map(|event| async move { self.0.store(event, &event.id.to_string()).await });
            try_join_all(stored).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Subscriber for NatsBroker {
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        self.0.open()?;
        self.0.topic_stream(topic).await?;
        let Group::Shared(group) = group else {
            return Ok(Box::new(Listener::new(Arc::clone(&self.0), topic).await?));
        };
        let core = Arc::clone(&self.0);
        let shared = Shared::new(group, core.in_flight, Arc::clone(&core.clock), core.tasks.clone());
        let leaving = core.closed.child_token();
        let feed = Feed::join(core, topic, group, Arc::clone(&shared)).await?;
        self.0.tasks.spawn(feed.run(leaving.clone()));
        Ok(Box::new(Member::new(shared, leaving.drop_guard())))
    }
}

#[async_trait]
impl Broker for NatsBroker {
    fn system(&self) -> &'static str {
        "nats"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.0.open()?;
        if self.0.client.connection_state() != State::Connected {
            return Err(unavailable("not connected"));
        }
        // What it says of the account differs between versions; that it answers is enough.
        let answer: Result<serde_json::Value, _> = self.0.jetstream.request("INFO", &()).await;
        answer.map_err(unavailable)?;
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        self.0.open()?;
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
        // What was not handed back by then comes again when its time with the server is over.
        let _late = tokio::time::timeout(LEAVE_PATIENCE, self.0.tasks.wait()).await;
        let _gone = self.0.client.drain().await;
    }
}
