//! What the platform hands to a service: its connected dependencies, and what is created from them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kennel_app::Health;
use kennel_auth::{AuthMetrics, Mode};
use kennel_broker::{Broker as _, BrokerMetrics, Connected, InstrumentedBroker};
use kennel_cache::{CacheMetrics, Counters, Locks, Policy, TypedCache};
use kennel_client::{Client, ClientConfig, ClientMetrics};
use kennel_core::{BackendKind as _, Clock, IdSource, ObjectStore, Subscriber, SystemClock, TaskQueue, UuidV7};
use kennel_grpc::{GrpcChannel, GrpcClientConfig, GrpcClientMetrics};
use kennel_live::{LiveSettings, LiveWatch};
use kennel_net::AccessCheck;
use kennel_objects::{InstrumentedObjectStore, LazyObjectStore, ObjectMetrics};
use kennel_outbox::{
    BatchConsumer, BatchHandler, BatchLimits, Consumer, ConsumerConfig, ConsumerMetrics, ConsumerPorts, EventFeed,
    FeedConfig, Handler, Quarantine,
};
use kennel_storage::Database;
use prometheus::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::access;
use crate::in_process::InProcess;
use crate::live;
use crate::scope::Scope;
use crate::settings::{ProcessSettings, ServiceSettings, StandardSettings};
use crate::{Service, Uses, Worker};

/// The dependencies of a service. Each is connected on first use, so that a command connects only to what it uses; `serve`
/// connects to all of them before it builds the service.
pub struct Context<S: Service> {
    /// The service's own settings.
    pub config: S::Config,
    /// The settings of its standard dependencies and servers.
    pub standard: StandardSettings,
    /// The settings of the process.
    pub process: ProcessSettings,
    /// The health of the process.
    pub health: Health,
    /// How to call the command line of the service, such as `notes`.
    pub program: String,
    pub(crate) scope: Scope,
    pub(crate) in_process: InProcess,
    registry: Registry,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    database: OnceCell<Database>,
    broker: OnceCell<Arc<InstrumentedBroker>>,
    cache: OnceCell<(kennel_cache::Connected, CacheMetrics)>,
    objects: OnceCell<Arc<dyn ObjectStore>>,
    consumers: OnceCell<ConsumerMetrics>,
    http_clients: OnceCell<ClientMetrics>,
    grpc_clients: OnceCell<GrpcClientMetrics>,
    quarantine: Quarantine,
    feeds: Mutex<Vec<EventFeed>>,
    live: LiveSettings,
    live_watch: Mutex<Option<LiveWatch>>,
}

impl<S: Service> Context<S> {
    pub(crate) fn new(
        settings: ServiceSettings<S>,
        process: ProcessSettings,
        scope: Scope,
        registry: Registry,
        health: Health,
        in_process: InProcess,
        program: String,
    ) -> Self {
        let ServiceSettings { mut standard, own } = settings;
        if S::USES.includes(Uses::BROKER) && standard.broker.broker == kennel_broker::Backend::Memory {
            let consumers = S::CONSUMERS.iter().map(|name| scope.component(name));
            in_process.join(S::events().topics(), consumers, S::USES.includes(Uses::STORAGE));
        }
        standard.http.server = process.server.clone();
        standard.grpc.server = process.server.clone();
        let (live, live_watch) = live::settings::<S>(&mut standard);
        Self {
            config: own,
            standard,
            process,
            health,
            program,
            scope,
            in_process,
            registry,
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidV7),
            database: OnceCell::new(),
            broker: OnceCell::new(),
            cache: OnceCell::new(),
            objects: OnceCell::new(),
            consumers: OnceCell::new(),
            http_clients: OnceCell::new(),
            grpc_clients: OnceCell::new(),
            quarantine: Quarantine::default(),
            feeds: Mutex::default(),
            live,
            live_watch: Mutex::new(live_watch),
        }
    }

    /// The clock of the process.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The source of ids.
    pub fn ids(&self) -> Arc<dyn IdSource> {
        Arc::clone(&self.ids)
    }

    /// The registry of the service's metrics.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The database. Its schema is migrated first, if so configured.
    pub async fn database(&self) -> anyhow::Result<&Database> {
        let open = Box::pin(async {
            let database = self.open_database().await?;
            if self.standard.storage.migrate_on_start {
                database.migrator.up(self.clock.now()).await.context("cannot migrate the schema")?;
            }
            anyhow::Ok(database)
        });
        self.database.get_or_try_init(|| open).await
    }

    /// Opens the database, without migrating its schema.
    pub(crate) async fn open_database(&self) -> anyhow::Result<Database> {
        uses::<S>(Uses::STORAGE, "store")?;
        Ok(kennel_storage::open(&self.standard.storage, S::NAME, &S::MIGRATIONS, &self.registry).await?)
    }

    /// The broker.
    pub async fn broker(&self) -> anyhow::Result<&Arc<InstrumentedBroker>> {
        let open = Box::pin(async {
            uses::<S>(Uses::BROKER, "broker")?;
            let connected = if S::USES.includes(Uses::STORAGE) {
                // The in-process broker stores dead letters in the database.
                let sink = Arc::clone(&self.database().await?.dead_letter_sink);
                kennel_broker::connect(&self.standard.broker, &self.in_process.broker, sink, self.clock()).await?
            } else {
                ensure!(
                    !self.broker_is_in_process() || self.in_process.has_store(),
                    "the service `{}` has no store, so BROKER must be a server, unless another service of the process has one",
                    S::NAME
                );
                let shared = &self.in_process.broker;
                kennel_broker::connect_without_store(&self.standard.broker, shared, self.clock()).await?
            };
            let Connected { broker, .. } = connected;
            let metrics = BrokerMetrics::register(&self.registry)?;
            anyhow::Ok(Arc::new(InstrumentedBroker::new(broker, metrics, S::events().topics())))
        });
        self.broker.get_or_try_init(|| open).await
    }

    /// Opens the broker, if it stores dead letters itself; `None` if they are in the database.
    pub(crate) async fn broker_with_dead_letters(&self) -> anyhow::Result<Option<Connected>> {
        uses::<S>(Uses::BROKER, "broker")?;
        Ok(kennel_broker::connect_server(&self.standard.broker, self.clock()).await?)
    }

    pub(crate) fn broker_is_in_process(&self) -> bool {
        self.standard.broker.broker == kennel_broker::Backend::Memory
    }

    pub(crate) async fn connected_cache(&self) -> anyhow::Result<&(kennel_cache::Connected, CacheMetrics)> {
        let open = Box::pin(async {
            uses::<S>(Uses::CACHE, "cache")?;
            let cache = kennel_cache::connect(&self.standard.cache, S::CACHE).await?;
            anyhow::Ok((cache, CacheMetrics::register(&self.registry)?))
        });
        self.cache.get_or_try_init(|| open).await
    }

    /// A cache of values with the configured time to live. `name` is unique in the service, such as `dogs.by_id`; it is a
    /// prefix of the keys and a label of the metrics.
    pub async fn cache<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static>(
        &self,
        name: &'static str,
    ) -> anyhow::Result<TypedCache<V>> {
        self.cache_with(self.standard.cache.policy(name)).await
    }

    /// A cache of values with lifetimes of their own.
    pub async fn cache_with<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static>(
        &self,
        policy: Policy,
    ) -> anyhow::Result<TypedCache<V>> {
        let (cache, metrics) = self.connected_cache().await?;
        Ok(TypedCache::new(cache, policy, metrics))
    }

    /// Counters in the cache. `name` is unique in the service; it is a prefix of the keys.
    pub async fn counters(&self, name: &'static str) -> anyhow::Result<Counters> {
        let (cache, _) = self.connected_cache().await?;
        Ok(Counters::new(cache, name))
    }

    /// Locks in the cache, which this process acquires. `name` is unique in the service; it is a prefix of the keys.
    pub async fn locks(&self, name: &'static str) -> anyhow::Result<Locks> {
        let (cache, _) = self.connected_cache().await?;
        Ok(Locks::new(cache, name, &self.ids().next().to_string()))
    }

    /// The object store.
    pub async fn objects(&self) -> anyhow::Result<&Arc<dyn ObjectStore>> {
        let open = Box::pin(async {
            uses::<S>(Uses::OBJECTS, "object store")?;
            self.instrument(kennel_objects::connect(&self.standard.objects, &*self.clock).await?)
        });
        self.objects.get_or_try_init(|| open).await
    }

    /// The object store, connected by its first call; for commands that may not need it.
    pub async fn lazy_objects(&self) -> anyhow::Result<&Arc<dyn ObjectStore>> {
        let open = Box::pin(async {
            uses::<S>(Uses::OBJECTS, "object store")?;
            self.instrument(Arc::new(LazyObjectStore::new(self.standard.objects.clone(), self.clock())))
        });
        self.objects.get_or_try_init(|| open).await
    }

    fn instrument(&self, objects: Arc<dyn ObjectStore>) -> anyhow::Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(InstrumentedObjectStore::new(objects, ObjectMetrics::register(&self.registry)?)))
    }

    async fn consumer_metrics(&self) -> anyhow::Result<ConsumerMetrics> {
        let register = async { ConsumerMetrics::register(&self.registry) };
        Ok(self.consumers.get_or_try_init(|| register).await?.clone())
    }

    /// The events of a topic for many listeners inside the process, starting with those that they missed. Its component
    /// runs with the service.
    pub async fn feed(&self, topic: &'static str) -> anyhow::Result<EventFeed> {
        self.warn_if_unreachable(topic);
        let subscriber: Arc<dyn Subscriber> = Arc::<InstrumentedBroker>::clone(self.broker().await?);
        let outbox = Arc::clone(&self.database().await?.outbox);
        let metrics = self.consumer_metrics().await?;
        let feed = EventFeed::new(topic, subscriber, outbox, FeedConfig::default(), metrics);
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).push(feed.clone());
        Ok(feed)
    }

    /// The events of a topic that another service publishes, for many listeners inside the process. Without an outbox, the
    /// latest events are in memory only; see [`EventFeed::without_outbox`]. Its component runs with the service.
    pub async fn topic_feed(&self, topic: &'static str) -> anyhow::Result<EventFeed> {
        self.warn_if_unreachable(topic);
        let subscriber: Arc<dyn Subscriber> = Arc::<InstrumentedBroker>::clone(self.broker().await?);
        let feed = EventFeed::without_outbox(topic, subscriber, FeedConfig::default(), self.consumer_metrics().await?);
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).push(feed.clone());
        Ok(feed)
    }

    /// The in-process broker has only the events of its own process. A service that consumes those of others also starts
    /// without them, so that it can be tried alone.
    fn warn_if_unreachable(&self, topic: &str) {
        if self.broker_is_in_process() && !self.in_process.publishes(topic) {
            tracing::warn!(topic, "with BROKER=memory, events of other processes are not received");
        }
    }

    pub(crate) fn take_feeds(&self) -> Vec<EventFeed> {
        std::mem::take(&mut *self.feeds.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A member of a consumer group, which calls `handler` for the events of `topic`.
    pub async fn consumer(
        &self,
        group: &'static str,
        topic: &'static str,
        handler: Arc<dyn Handler>,
    ) -> anyhow::Result<Worker> {
        let ports = self.consumer_ports(topic).await?;
        let config = ConsumerConfig { concurrency: handler.concurrency(), ..self.standard.outbox.consumer() };
        let consumer = Consumer::new(group, topic, handler, config, ports);
        let progress = consumer.progress();
        Ok(Worker::new(consumer).with_progress(progress))
    }

    /// A member of a consumer group, which calls `handler` for several events of `topic` at once.
    pub async fn batch_consumer(
        &self,
        group: &'static str,
        topic: &'static str,
        handler: Arc<dyn BatchHandler>,
        limits: BatchLimits,
    ) -> anyhow::Result<Worker> {
        let ports = self.consumer_ports(topic).await?;
        let consumer = BatchConsumer::new(group, topic, handler, self.standard.outbox.consumer(), limits, ports);
        let progress = consumer.progress();
        Ok(Worker::new(consumer).with_progress(progress))
    }

    async fn consumer_ports(&self, topic: &'static str) -> anyhow::Result<ConsumerPorts> {
        self.warn_if_unreachable(topic);
        let broker = self.broker().await?;
        Ok(ConsumerPorts {
            subscriber: Arc::<InstrumentedBroker>::clone(broker),
            inbox: Arc::clone(&self.database().await?.inbox),
            clock: self.clock(),
            metrics: self.consumer_metrics().await?,
            quarantine: self.quarantine.clone(),
            system: broker.system(),
        })
    }

    /// The settings that change while the process runs, whose keys are below the name of the service. Without a source, and
    /// in commands, the defaults apply. The source is read after [`Service::build`] and [`Service::workers`]: there, a setting still
    /// has its default, so read it where it is used.
    pub const fn live(&self) -> &LiveSettings {
        &self.live
    }

    pub(crate) fn take_live_watch(&self) -> Option<LiveWatch> {
        self.live_watch.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds tasks of `source`, such as `/shop`, to the outbox. With `BROKER=memory`, a task is run only if the process that
    /// publishes it runs its consumer.
    pub async fn task_queue(&self, source: &'static str) -> anyhow::Result<TaskQueue> {
        let outbox = Arc::clone(&self.database().await?.outbox);
        Ok(TaskQueue::new(outbox, self.clock(), self.ids(), source, crate::current_trace))
    }

    /// A client of the HTTP service that is called `upstream` in logs and metrics.
    pub async fn http_client(&self, upstream: &'static str, config: &ClientConfig) -> anyhow::Result<Client> {
        Ok(Client::new(upstream, config, self.http_client_metrics().await?)?)
    }

    /// The metrics of HTTP clients, for those that are not created by [`Self::http_client`]: all share one registration.
    pub async fn http_client_metrics(&self) -> anyhow::Result<&ClientMetrics> {
        let register = async { ClientMetrics::register(&self.registry) };
        Ok(self.http_clients.get_or_try_init(|| register).await?)
    }

    /// Decides who may call the service; `None` if everyone may.
    pub(crate) async fn gate(&self) -> anyhow::Result<Option<Arc<dyn AccessCheck>>> {
        let config = &self.standard.auth;
        if config.mode() == Mode::None {
            let host = self.process.server.server_host;
            if host.is_loopback() {
                tracing::info!(service = S::NAME, "requests are not authenticated");
            } else {
                tracing::warn!(service = S::NAME, %host, "requests are not authenticated, and other machines can send them");
            }
            return Ok(None);
        }
        let clients = self.http_client_metrics().await?;
        let metrics = AuthMetrics::register(&self.registry)?;
        let gate = config.gate(access::rules::<S>(), self.clock(), clients, metrics)?;
        Ok(gate.map(|gate| -> Arc<dyn AccessCheck> { Arc::new(gate) }))
    }

    /// A client of the gRPC service that is called `upstream` in logs, metrics and health checks. `descriptors` are encoded
    /// `FileDescriptorSet`s of its services; see [`GrpcChannel::connect`].
    pub async fn grpc_client(
        &self,
        upstream: &'static str,
        config: &GrpcClientConfig,
        descriptors: &[&[u8]],
    ) -> anyhow::Result<GrpcChannel> {
        let register = async { GrpcClientMetrics::register(&self.registry) };
        let metrics = self.grpc_clients.get_or_try_init(|| register).await?;
        let channel = GrpcChannel::connect(upstream, config, descriptors, metrics)?;
        let (name, check) = (self.scope.name(upstream), Arc::new(channel.clone()));
        if config.tuning.required {
            self.health.register(name, check);
        } else {
            self.health.observe(name, check);
        }
        Ok(channel)
    }

    /// How long published events, receipts and other data of requests are retained.
    pub fn retention(&self) -> Duration {
        self.standard.outbox.retention.get()
    }

    /// The name of the store in errors.
    pub fn store_name(&self) -> String {
        format!("the store `{}`", self.standard.storage.storage.name())
    }

    /// The name of the broker in errors.
    pub fn broker_name(&self) -> String {
        format!("the broker `{}`", self.standard.broker.broker.name())
    }

    /// The name of the object store in errors.
    pub fn objects_name(&self) -> String {
        format!("the object store `{}`", self.standard.objects.objects.name())
    }

    /// Closes what a command has opened.
    pub(crate) async fn close(&self) {
        if let Some(broker) = self.broker.get() {
            broker.close().await;
        }
        if let Some(database) = self.database.get() {
            database.close().await;
        }
    }
}

/// Fails when the service does not use this: a mistake in its code.
fn uses<S: Service>(dependency: Uses, name: &str) -> anyhow::Result<()> {
    ensure!(S::USES.includes(dependency), "the service `{}` uses no {name}; add it to `Service::USES`", S::NAME);
    Ok(())
}
