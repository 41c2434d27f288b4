//! Kafka.
//!
//! **Topics** are made by this adapter, never by the cluster on its own; an event's key is the record's key, so that a
//! partition has all events of a key, in order. Changing the number of partitions moves keys: their order is then only
//! kept from the change on. An event may go to a topic of its own by a [`Route`].
//!
//! **Groups.** A subscription is a member of the consumer group `<topic>.<group>`. It reads its partitions ahead and
//! hands events out in order for each key; keys do not wait for each other, be one of them delayed or out. What is
//! committed is the offset of the oldest unsettled event, so that nothing unsettled is ever skipped; one commit at a
//! time, so that none undoes a later one. A group that is new begins with the oldest event there is. An event that is
//! refused stays with its member, which gives it again after the delay, and those of its key after it.
//!
//! **When partitions change hands**, a member first waits a moment for what it holds of them and commits what is
//! settled; what is not comes again at the other member, and what the first one says of it fails. After a crash, what
//! was settled since the last commit comes again. Attempts are counted within a process: they go with a partition to
//! another member of it, and begin again elsewhere.
//!
//! **Dead letters** are in `<topic>.<group>.dlq`, durably before the event counts as settled. A record that is no event
//! is reported and skipped; it stays in the log.
//!
//! **Broadcast** reads every partition from its end, without a group. Partitions that are added to a topic later are
//! heard by new subscriptions only.
//!
//! **What is removed** is created again, with the configured partitions: a topic or dead letters by whoever publishes to
//! them, within some two seconds, and a topic by those who read it, whose subscriptions fail and, taken again, read it
//! from its beginning. A member whose group has gone on without it joins with a new client, since the one it has would
//! refuse leaders of a cluster that has lost its data. Where the cluster forbids creating a missing topic, that is
//! logged once, and publishing and subscribing fail until the topic is there.
//!
//! Connections are mended by the driver, for ever. While there is none, publishing fails after a time, and members wait.

mod commit;
mod config;
mod context;
mod error;
mod lag;
mod letters;
mod listener;
mod member;
mod offsets;
mod post;
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
use kennel_core::broker::BrokerError;
use kennel_core::{Clock, Event, Group, Publisher, Subscriber, Subscription};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::config::FromClientConfigAndContext as _;
use tokio::sync::mpsc;

pub use self::config::{Auth, KafkaConfig, Route, Tls, Tuning, UnknownAuth};
pub use self::letters::KafkaDeadLetters;

use self::context::{Quiet, report_replacements};
use self::error::classify;
use self::lag::Probes;
use self::listener::Ear;
use self::member::Member;
use self::post::{Memory, Post};
use self::producer::{Producer, Record};
use self::subscription::Place;
use self::topics::{Kind, Router, Topics, checked};
use self::window::Room;
use crate::{Broker, ConnectError, Lag};

/// How often members ask which topics and partitions there are. A member that joins while one of its topics is being made
/// was seen to get nothing of it for half a minute; the driver's own interval is five minutes.
const TOPICS_REFRESH: Duration = Duration::from_secs(5);
/// Publishing that takes longer looks whether the topics are there.
const SLOW: Duration = Duration::from_secs(1);
/// How long members may take to commit and leave when the broker is closed.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// The broker was closed, or the subscription dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broker is closed")]
struct Closed;

impl From<Closed> for BrokerError {
    fn from(closed: Closed) -> Self {
        Self::Unavailable(closed.into())
    }
}

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
    memory: Arc<Memory>,
    probes: Arc<Probes>,
    state: Mutex<State>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

struct State {
    members: Vec<std::sync::Weak<Post>>,
    listeners: Vec<std::sync::Weak<AtomicBool>>,
    /// The groups that this process is or was in, by topic.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Held by every thread; gone when the broker is closed.
    alive: Option<mpsc::Sender<()>>,
}

impl KafkaBroker {
    /// A client of the cluster. Does not connect: a cluster that is away fails what is asked of it, not this.
    pub fn connect(config: &KafkaConfig, in_flight: NonZeroUsize, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        if let Some((setting, problem)) = config.problems().into_iter().next() {
            return Err(ConnectError::Setting { setting, problem });
        }
        let admin = AdminClient::from_config_and_context(&config.client(), Quiet).map_err(classify)?;
        let (alive, ended) = mpsc::channel(1);
        let state = State { members: Vec::new(), listeners: Vec::new(), groups: BTreeMap::new(), alive: Some(alive) };
        Ok(Self(Arc::new(Core {
            producer: Producer::new(config)?,
            topics: Topics::new(admin, config.tuning.clone()),
            router: Router::new(config.prefix.clone(), config.routes.clone()),
            memory: Arc::default(),
            probes: Arc::default(),
            state: Mutex::new(state),
            ended: tokio::sync::Mutex::new(ended),
            config: config.clone(),
            in_flight,
            clock,
        })))
    }

    /// The dead letters of the topics that the settings name and of those that this process is a consumer of.
    pub fn dead_letters(&self) -> KafkaDeadLetters {
        KafkaDeadLetters::new(Arc::clone(&self.0))
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What keeps a thread counted as alive.
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
        self.send(&topics, Kind::Events, records).await
    }

    /// Sends records to these topics, which are made unless they are there, and again when they have been removed since.
    async fn send<'a>(
        &self,
        topics: &BTreeSet<String>,
        kind: Kind,
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

    async fn ensure(&self, topics: &BTreeSet<String>, kind: Kind) -> Result<(), BrokerError> {
        for topic in topics {
            self.topics.ensure(topic, kind).await?;
        }
        Ok(())
    }

    /// Returns once one of these topics is missing, which a producer takes for an outage.
    async fn missing(&self, topics: &BTreeSet<String>) {
        loop {
            tokio::time::sleep(SLOW).await;
            if self.topics.find_missing(topics).await {
                return;
            }
        }
    }

    /// Makes the topics where the events of `topic` are found, also those that have been removed.
    async fn sources(&self, topic: &str) -> Result<Vec<String>, BrokerError> {
        let mut sources = Vec::new();
        for source in self.router.sources(topic) {
            let source = checked(source)?;
            self.topics.create(&source, Kind::Events).await?;
            sources.push(source);
        }
        Ok(sources)
    }

    /// The settings of a client that reads. Whoever only assigns partitions to itself needs a group's name as well.
    fn reader(&self, group_id: &str) -> ClientConfig {
        let mut settings = self.config.client();
        settings.set("group.id", group_id);
        settings.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        settings.set("auto.offset.reset", "earliest");
        settings.set("enable.partition.eof", "false");
        settings.set("queued.min.messages", "1000").set("queued.max.messages.kbytes", "16384");
        settings.set("fetch.wait.max.ms", "100");
        settings
    }

    async fn join(self: &Arc<Self>, topic: &str, group: &str) -> Result<Place, BrokerError> {
        let alive = self.alive()?;
        let group_id = checked(self.router.group(topic, group))?;
        let sources = self.sources(topic).await?;
        let tuning = &self.config.tuning;
        let room = Room { entries: tuning.window.get(), bytes: tuning.window_bytes.get() };
        let post = Arc::new(Post::new((topic, group), &group_id, room, self.in_flight.get(), Arc::clone(&self.memory)));
        // From here on the membership ends when this is dropped.
        let place = Place { core: Arc::clone(self), post: Arc::clone(&post) };
        let mut settings = self.reader(&group_id);
        report_replacements(&mut settings);
        settings.set("partition.assignment.strategy", "cooperative-sticky");
        settings.set("session.timeout.ms", tuning.session_timeout_ms.to_string());
        settings.set("heartbeat.interval.ms", (tuning.session_timeout_ms / 4).to_string());
        settings.set("topic.metadata.refresh.interval.ms", TOPICS_REFRESH.as_millis().to_string());
        self.enter(topic, group, &post);
        let (commit_interval, revoke_grace) = (tuning.commit_interval(), tuning.revoke_grace());
        Member { post, settings, sources, commit_interval, revoke_grace, alive }.start().await?;
        Ok(place)
    }

    fn enter(&self, topic: &str, group: &str, post: &Arc<Post>) {
        let mut state = self.lock();
        state.members.retain(|member| member.strong_count() > 0);
        state.members.push(Arc::downgrade(post));
        state.groups.entry(topic.to_owned()).or_default().insert(group.to_owned());
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Subscription>, BrokerError> {
        let alive = self.alive()?;
        let sources = self.sources(topic).await?;
        let ended = Arc::new(AtomicBool::new(false));
        {
            let mut state = self.lock();
            state.listeners.retain(|listener| listener.strong_count() > 0);
            state.listeners.push(Arc::downgrade(&ended));
        }
        let mut settings = self.reader(&checked(self.router.group(topic, "broadcast"))?);
        report_replacements(&mut settings);
        let ear = Ear { topic: topic.to_owned(), settings, sources, ended, alive };
        Ok(Box::new(ear.start(self.in_flight.get()).await?))
    }

    /// The topics whose dead letters are shown, as they are called here.
    fn shown_topics(&self) -> BTreeSet<String> {
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
        for listener in listeners.iter().filter_map(std::sync::Weak::upgrade) {
            listener.store(true, Ordering::Release);
        }
        self.producer.close().await;
        let probes = Arc::clone(&self.probes);
        if let Err(error) = tokio::task::spawn_blocking(move || probes.clear()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "kafka probes are not closed");
        }
        let mut ended = self.ended.lock().await;
        if tokio::time::timeout(LEAVE_PATIENCE, ended.recv()).await.is_err() {
            tracing::warn!("kafka members have not left in time");
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
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        match group {
            Group::Shared(name) => Ok(Box::new(self.0.join(topic, name).await?)),
            Group::Broadcast => self.0.listen(topic).await,
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
