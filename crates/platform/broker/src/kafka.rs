//! Kafka.
//!
//! **Topics** are created by this adapter, never by the cluster itself. The key of an event is the key of the record,
//! so that a partition contains all events of a key, in order. Changing the number of partitions moves keys to other
//! partitions: their order is only guaranteed after the change. A [`Route`] sends an event to a topic of its own.
//!
//! **Groups.** A subscription is a member of the consumer group `<topic>.<group>`. It reads its partitions ahead and
//! delivers events in order for each key; a delayed or unsettled event does not delay other keys. The committed offset
//! is that of the oldest unsettled event, so that no unsettled event is ever skipped. Only one commit runs at a time,
//! so that none overwrites a later one. A new group starts with the oldest event. A rejected event remains with its
//! member, which delivers it again after the delay, and the following events of its key after it. Events that the filter
//! of a member excludes count as settled as they are read.
//!
//! **When partitions are reassigned**, a member first waits a moment for its unsettled deliveries of them and commits
//! what is settled. Unsettled events are delivered again by the new member, and settling them at the old one fails.
//! After a crash, events that were settled since the last commit are delivered again. Attempts are counted per process:
//! they move to another member of the process with the partition, and restart at one elsewhere.
//!
//! **Dead letters** are in `<topic>.<group>.dlq`, stored durably before the event counts as settled. A record that is
//! not an event is reported and skipped; it remains in the log.
//!
//! **Broadcast** reads every partition from its end, without a group. Only new subscriptions read partitions that are
//! added to a topic later.
//!
//! **Deleted topics** are created again, with the configured partitions. A publisher creates a topic or dead-letter
//! topic within about two seconds. The subscriptions of a deleted topic fail; subscribing again creates the topic and
//! reads it from its beginning. A member that lost its whole assignment joins with a new client, because the old one
//! rejects leaders of a cluster that has lost its data. Where the cluster does not allow creating a missing topic, that
//! is logged once, and publishing and subscribing fail until the topic exists.
//!
//! The driver reconnects forever. While there is no connection, publishing fails after a timeout, and members wait.

mod broadcast;
mod commit;
mod config;
mod context;
mod dead_letters;
mod delivery_buffer;
mod error;
mod lag;
mod member;
mod offsets;
mod producer;
mod record;
mod subscription;
mod topics;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kennel_config::Problems;
use kennel_core::broker::BrokerError;
use kennel_core::{Clock, Event, EventFilter, Group, Publisher, Subscriber, Subscription};
use rdkafka::ClientConfig;
use tokio::sync::mpsc;

pub use self::dead_letters::KafkaDeadLetters;
pub use crate::config::{Auth, KafkaConfig, Route, Tuning};

use self::broadcast::BroadcastReader;
use self::context::{BrokerWatch, report_replacements};
use self::delivery_buffer::{AttemptStore, DeliveryBuffer};
use self::lag::Probes;
use self::member::GroupMember;
use self::producer::{Producer, Record};
use self::subscription::GroupSubscription;
use self::topics::{Router, TopicKind, Topics, checked};
use self::window::WindowLimits;
use crate::delivery::Closed;
use crate::{Broker, ConnectError, Lag};

/// Interval at which members refresh the metadata of topics. A member that joins while one of its topics is being
/// created was seen to get nothing of it for half a minute; the driver's default interval is five minutes.
const TOPICS_REFRESH: Duration = Duration::from_secs(5);
/// After this time a publisher checks whether its topics exist.
const SLOW_PUBLISH: Duration = Duration::from_secs(1);
/// Time limit for members to commit and leave when the broker is closed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// See the [module](self). Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct KafkaBroker(Arc<Core>);

struct Core {
    config: KafkaConfig,
    in_flight: NonZeroUsize,
    clock: Arc<dyn Clock>,
    router: Router,
    producer: Producer,
    topics: Topics,
    attempt_store: Arc<AttemptStore>,
    probes: Arc<Probes>,
    state: Mutex<KafkaState>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

struct KafkaState {
    members: Vec<std::sync::Weak<DeliveryBuffer>>,
    listeners: Vec<std::sync::Weak<AtomicBool>>,
    /// The groups in which this process is or was a member, by topic.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Cloned by every thread; `None` after the broker is closed.
    alive: Option<mpsc::Sender<()>>,
}

impl KafkaBroker {
    /// Creates a client of the cluster. Does not connect: with an unreachable cluster, later calls fail.
    pub fn connect(config: &KafkaConfig, in_flight: NonZeroUsize, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let mut problems = Problems::default();
        config.check_as_broker(&mut problems);
        problems.into_result()?;
        let (alive, ended) = mpsc::channel(1);
        let state =
            KafkaState { members: Vec::new(), listeners: Vec::new(), groups: BTreeMap::new(), alive: Some(alive) };
        Ok(Self(Arc::new(Core {
            producer: Producer::new(config)?,
            topics: Topics::new(config)?,
            router: Router::new(config.prefix.clone(), config.routes.clone()),
            attempt_store: Arc::default(),
            probes: Arc::default(),
            state: Mutex::new(state),
            ended: tokio::sync::Mutex::new(ended),
            config: config.clone(),
            in_flight,
            clock,
        })))
    }

    /// Returns the dead-letter store of the topics in the configuration and of those that this process consumes.
    pub fn dead_letters(&self) -> KafkaDeadLetters {
        KafkaDeadLetters::new(Arc::clone(&self.0))
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, KafkaState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a token that counts a thread as running until it is dropped.
    fn alive(&self) -> Result<mpsc::Sender<()>, Closed> {
        self.lock().alive.clone().ok_or(Closed)
    }

    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        drop(self.alive()?);
        let targets: Vec<_> = batch.iter().map(|event| self.router.target(event)).collect();
        let mut topics = BTreeSet::new();
        for target in &targets {
            topics.insert(checked(target.clone())?);
        }
        let records = || batch.iter().zip(&targets).map(|(event, target)| record::write(event, target)).collect();
        self.send(&topics, TopicKind::Events, records).await
    }

    /// Sends records to these topics, which are created if they do not exist, and again if they have been deleted.
    async fn send<'a>(
        &self,
        topics: &BTreeSet<String>,
        kind: TopicKind,
        records: impl Fn() -> Vec<Record<'a>> + Send + Sync,
    ) -> Result<(), BrokerError> {
        self.ensure(topics, kind).await?;
        tokio::select! {
            sent = self.producer.send(records()) => match sent {
                Err(error) if !self.topics.find_missing(topics).await => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            },
            () = self.missing(topics) => {}
        }
        self.producer.renew()?;
        self.ensure(topics, kind).await?;
        self.producer.send(records()).await
    }

    async fn ensure(&self, topics: &BTreeSet<String>, kind: TopicKind) -> Result<(), BrokerError> {
        for topic in topics {
            self.topics.ensure(topic, kind).await?;
        }
        Ok(())
    }

    /// Returns when one of these topics is missing, which a producer does not distinguish from an outage.
    async fn missing(&self, topics: &BTreeSet<String>) {
        loop {
            tokio::time::sleep(SLOW_PUBLISH).await;
            if self.topics.find_missing(topics).await {
                return;
            }
        }
    }

    /// Creates the topics that contain the events of `topic`, if they do not exist or were deleted, and returns them.
    async fn sources(&self, topic: &str) -> Result<Vec<String>, BrokerError> {
        let mut sources = Vec::new();
        for source in self.router.sources(topic) {
            let source = checked(source)?;
            self.topics.create(&source, TopicKind::Events).await?;
            sources.push(source);
        }
        Ok(sources)
    }

    /// Returns the settings of a consumer. A group id is also required of clients that assign partitions themselves.
    fn reader(&self, group_id: &str) -> ClientConfig {
        let mut settings = self.config.client();
        settings.set("group.id", group_id);
        settings.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        settings.set("auto.offset.reset", "earliest");
        settings.set("enable.partition.eof", "false");
        settings.set("queued.min.messages", "1000").set("queued.max.messages.kbytes", "16384");
        // The default of a second delays every fetch after the one that has exceeded these limits.
        settings.set("fetch.queue.backoff.ms", "10").set("fetch.wait.max.ms", "100");
        settings
    }

    async fn join(
        self: &Arc<Self>,
        topic: &str,
        group: &str,
        filter: &EventFilter,
    ) -> Result<GroupSubscription, BrokerError> {
        let alive = self.alive()?;
        let group_id = checked(self.router.group(topic, group))?;
        let sources = self.sources(topic).await?;
        let tuning = &self.config.tuning;
        let limits = WindowLimits { entries: tuning.window.get(), bytes: tuning.window_bytes.get() };
        let buffer = Arc::new(DeliveryBuffer::new(
            (topic, group),
            &group_id,
            filter.clone(),
            limits,
            self.in_flight.get(),
            Arc::clone(&self.attempt_store),
        ));
        // From here on, dropping the subscription ends the membership.
        let subscription = GroupSubscription { core: Arc::clone(self), buffer: Arc::clone(&buffer) };
        let mut settings = self.reader(&group_id);
        report_replacements(&mut settings);
        BrokerWatch::enable(&mut settings);
        settings.set("partition.assignment.strategy", "cooperative-sticky");
        settings.set("session.timeout.ms", tuning.session_timeout.as_millis().to_string());
        settings.set("heartbeat.interval.ms", (tuning.session_timeout / 4).as_millis().to_string());
        settings.set("topic.metadata.refresh.interval.ms", TOPICS_REFRESH.as_millis().to_string());
        self.register(topic, group, &buffer);
        let (commit_interval, revoke_grace) = (tuning.commit_interval, tuning.revoke_grace);
        GroupMember { buffer, settings, sources, commit_interval, revoke_grace, alive }.start().await?;
        Ok(subscription)
    }

    fn register(&self, topic: &str, group: &str, buffer: &Arc<DeliveryBuffer>) {
        let mut state = self.lock();
        state.members.retain(|member| member.strong_count() > 0);
        state.members.push(Arc::downgrade(buffer));
        state.groups.entry(topic.to_owned()).or_default().insert(group.to_owned());
    }

    async fn subscribe_broadcast(
        &self,
        topic: &str,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let alive = self.alive()?;
        let sources = self.sources(topic).await?;
        let ended = Arc::new(AtomicBool::new(false));
        {
            let mut state = self.lock();
            state.listeners.retain(|broadcast| broadcast.strong_count() > 0);
            state.listeners.push(Arc::downgrade(&ended));
        }
        let mut settings = self.reader(&checked(self.router.group(topic, "broadcast"))?);
        report_replacements(&mut settings);
        let reader =
            BroadcastReader { topic: topic.to_owned(), filter: filter.clone(), settings, sources, ended, alive };
        Ok(Box::new(reader.start(self.in_flight.get()).await?))
    }

    /// Returns the topics whose dead letters are listed, without prefix.
    fn dead_letter_topics(&self) -> BTreeSet<String> {
        let state = self.lock();
        state.groups.keys().chain(&self.config.topics).cloned().collect()
    }

    async fn close(&self) {
        let (members, listeners) = {
            let mut state = self.lock();
            state.alive = None;
            (std::mem::take(&mut state.members), std::mem::take(&mut state.listeners))
        };
        for member in members.iter().filter_map(std::sync::Weak::upgrade) {
            member.close();
        }
        for broadcast in listeners.iter().filter_map(std::sync::Weak::upgrade) {
            broadcast.store(true, Ordering::Release);
        }
        self.producer.close().await;
        let probes = Arc::clone(&self.probes);
        if let Err(error) = tokio::task::spawn_blocking(move || probes.clear()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot close kafka probes");
        }
        let mut ended = self.ended.lock().await;
        if tokio::time::timeout(LEAVE_TIMEOUT, ended.recv()).await.is_err() {
            tracing::warn!("kafka members did not leave in time");
        }
    }
}

#[async_trait]
impl Publisher for KafkaBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.publish(batch).await
    }
}

#[async_trait]
impl Subscriber for KafkaBroker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        match group {
            Group::Shared(name) => Ok(Box::new(self.0.join(topic, name, filter).await?)),
            Group::Broadcast => self.0.subscribe_broadcast(topic, filter).await,
        }
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    fn system(&self) -> &'static str {
        "kafka"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        let _alive = self.0.alive()?;
        lag::ping(&self.0).await
    }

    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        let _alive = self.0.alive()?;
        lag::all(&self.0).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
