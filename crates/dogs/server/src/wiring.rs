//! Builds the service from its [`Backends`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use dogs_domain::{DogService, events};
use dogs_storages::{CachedDogImports, CachedDogRepository, Stores};
use kennel_app::{App, Check, Component, ComponentFilter, Health, Phase, Stop};
use kennel_broker::{Broker, BrokerMetrics, Connected, InstrumentedBroker, LagWatch};
use kennel_core::{BackendKind as _, BoxError, Cache, ObjectStore, Publisher, Subscriber};
use kennel_grpc::{GrpcMetrics, GrpcServer};
use kennel_http::{HttpMetrics, HttpServer};
use kennel_outbox::{
    Consumer, ConsumerMetrics, ConsumerPorts, EventFeed, FeedConfig, Invalidator, Quarantine, Relay, RelayMetrics,
};
use kennel_proto::dogs::v1::FILE_DESCRIPTOR_SET;
use kennel_storage::{Database, DatabaseCheck, MigrationState, MigrationStep, Migrator, WriteCheck};
use kennel_telemetry::metrics::{self, BuildInfo};

use crate::backends::Backends;
use crate::grpc::DogRpc;
use crate::http::{ApiState, BackendNames};
use crate::workers::{StaleDogs, Thumbnailer, expiry_worker};

/// The version that is running.
pub const BUILD: BuildInfo =
    BuildInfo { service: crate::NAME, version: env!("CARGO_PKG_VERSION"), git_sha: option_env!("GIT_SHA") };

/// The name of the [`Relay`]'s component.
const RELAY: &str = "outbox-relay";

/// The names of the components that `serve --only` can select; all other components always run.
pub const COMPONENTS: [&str; 5] = ["http", "grpc", "sys", RELAY, Thumbnailer::GROUP];

/// How often the lag of consumer groups is read from the broker.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// The service with its connected backends; runs as an [`App`].
pub struct Wiring {
    backends: Backends,
    service: DogService,
    stores: Stores,
    cache: Arc<dyn Cache>,
    cached: Arc<CachedDogRepository>,
    objects: Arc<dyn ObjectStore>,
    broker: Arc<InstrumentedBroker>,
}

impl Wiring {
    /// Opens every backend. Migrates the schema first, if configured.
    pub async fn open(backends: Backends) -> anyhow::Result<Self> {
        let stores = backends.current_store().await?;
        let (cache, cached) = backends.cache(&stores).await?;
        let objects = backends.objects().await?;
        let Connected { broker, .. } = backends.broker(&stores).await?;
        let metrics = BrokerMetrics::register(&backends.registry)?;
        let broker = Arc::new(InstrumentedBroker::new(broker, metrics, &[events::TOPIC]));
        let imports = CachedDogImports::new(Arc::clone(&stores.imports), Arc::clone(&cached));
        let repo = Arc::<CachedDogRepository>::clone(&cached);
        let service = backends.service(repo, Arc::new(imports), Arc::clone(&objects))?;
        Ok(Self { backends, service, stores, cache: cache.cache, cached, objects, broker })
    }

    /// Fails when the schema is older than this build, or was changed after it was applied.
    pub async fn check_schema(&self) -> anyhow::Result<()> {
        check_schema(&*self.stores.database.migrator).await
    }

    /// The process that `serve` runs, with the components that `only` selects.
    pub fn app(self, only: &ComponentFilter) -> anyhow::Result<App> {
        self.check_subset(only)?;
        metrics::register_build(&self.backends.registry, &BUILD)?;
        metrics::register_runtime(&self.backends.registry, &tokio::runtime::Handle::current())?;
        let health = Health::new();
        let driver = || Arc::clone(&self.stores.database.driver);
        health.register("storage", Arc::new(DatabaseCheck(driver())));
        health.register("objects", Arc::new(ObjectCheck(Arc::clone(&self.objects))));
        health.observe("storage_write", Arc::new(WriteCheck(driver())));
        health.observe("broker", Arc::new(BrokerCheck(Arc::clone(&self.broker))));
        health.observe("cache", Arc::new(CacheCheck(Arc::clone(&self.cache))));
        kennel_http::sys::register_dependencies(&self.backends.registry, &health)?;
        let consumed = ConsumerMetrics::register(&self.backends.registry)?;
        let feed = self.feed(&consumed);
        health.progress(feed.name(), feed.progress());
        let mut app = App::new(self.backends.settings.shutdown)
            .health(health.clone())
            .component(StoreDriver(self.stores.database.clone()))
            .component(health.readiness())
            .component(BrokerDriver(Arc::clone(&self.broker)))
            .component(LagWatch::new(Arc::clone(&self.broker), LAG_INTERVAL))
            .component(feed.clone())
            .component(Invalidator::new(feed.clone(), StaleDogs(Arc::clone(&self.cached)), self.broker.system()))
            .component(expiry_worker(
                Arc::clone(&self.stores.retention),
                Arc::clone(&self.backends.clock),
                self.backends.settings.outbox.retention.get(),
            ));
        // Before the relay: the consumer group must exist when the first event is published.
        if only.includes(Thumbnailer::GROUP) {
            let thumbnailer = self.thumbnailer(&consumed);
            health.progress(thumbnailer.name(), thumbnailer.progress());
            app = app.component(thumbnailer);
        }
        if only.includes(RELAY) {
            let relay = self.relay()?;
            health.progress(relay.name(), relay.progress());
            app = app.component(relay);
        }
        if only.includes("http") {
            app = app.component(self.http(&feed, &health)?);
        }
        if only.includes("grpc") {
            app = app.component(self.grpc(&feed, &health)?);
        }
        if only.includes("sys") {
            let sys = kennel_http::sys::Sys { health, registry: self.backends.registry.clone(), build: BUILD };
            app = app.component(HttpServer::new(
                "sys",
                &self.backends.settings.sys.http(),
                kennel_http::sys::router(sys),
            ));
        }
        Ok(app)
    }

    /// The number of events that the relay publishes at once. The in-process broker acknowledges an event only when it was
    /// handled, so a high limit stops failing events from delaying the others.
    fn events_in_flight(&self) -> u32 {
        if self.backends.broker_is_in_process() { 1_000 } else { 1 }
    }

    /// Rejects a relay without consumers on the in-process broker: it reaches only consumers of its own process, so their
    /// events would be lost.
    fn check_subset(&self, only: &ComponentFilter) -> anyhow::Result<()> {
        if self.backends.broker_is_in_process() && only.includes(RELAY) && !only.includes(Thumbnailer::GROUP) {
            bail!("with BROKER=memory, `{RELAY}` needs `{}` in the same process", Thumbnailer::GROUP);
        }
        Ok(())
    }

    fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::<InstrumentedBroker>::clone(&self.broker)
    }

    fn feed(&self, consumed: &ConsumerMetrics) -> EventFeed {
        let outbox = Arc::clone(&self.stores.database.outbox);
        EventFeed::new(events::TOPIC, self.subscriber(), outbox, FeedConfig::default(), consumed.clone())
    }

    fn thumbnailer(&self, consumed: &ConsumerMetrics) -> Consumer {
        let ports = ConsumerPorts {
            subscriber: self.subscriber(),
            inbox: Arc::clone(&self.stores.database.inbox),
            clock: Arc::clone(&self.backends.clock),
            metrics: consumed.clone(),
            quarantine: Quarantine::default(),
            system: self.broker.system(),
        };
        let handler =
            Arc::new(Thumbnailer::new(self.service.clone(), Arc::clone(&self.objects), self.backends.images.clone()));
        Consumer::new(Thumbnailer::GROUP, events::TOPIC, handler, self.backends.settings.outbox.consumer(), ports)
    }

    fn relay(&self) -> Result<Relay, prometheus::Error> {
        let outbox = Arc::clone(&self.stores.database.outbox);
        let publisher: Arc<dyn Publisher> = Arc::<InstrumentedBroker>::clone(&self.broker);
        let metrics = RelayMetrics::register(&self.backends.registry)?;
        let holder = self.backends.ids.next();
        let config = self.backends.settings.outbox.relay(self.events_in_flight());
        Ok(Relay::new(outbox, publisher, Arc::clone(&self.backends.clock), holder, config, metrics))
    }

    fn http(&self, feed: &EventFeed, health: &Health) -> anyhow::Result<HttpServer> {
        let settings = &self.backends.settings;
        let state = ApiState {
            service: self.service.clone(),
            feed: feed.clone(),
            ids: Arc::clone(&self.backends.ids),
            public_url: settings.http.public_url(),
            metrics_url: settings.metrics_url(),
            grafana_url: settings.gallery.grafana_url.clone(),
            backends: BackendNames {
                storage: settings.storage.storage.name(),
                broker: settings.broker.broker.name(),
                cache: settings.cache.cache.name(),
                objects: settings.objects.objects.name(),
            },
            health: health.clone(),
        };
        let metrics = HttpMetrics::register(&self.backends.registry)?;
        Ok(HttpServer::new("http", &settings.http, crate::http::app(state, &settings.http, &metrics)?))
    }

    fn grpc(&self, feed: &EventFeed, health: &Health) -> anyhow::Result<GrpcServer> {
        let config = self.backends.settings.grpc.clone();
        let urls = crate::http::DogUrls::new(&self.backends.settings.http.public_url());
        let dogs = DogRpc::server(
            self.service.clone(),
            feed.clone(),
            urls,
            Arc::clone(&self.backends.ids),
            config.max_message_bytes,
        );
        let metrics = GrpcMetrics::register(&self.backends.registry)?;
        let server = GrpcServer::new(config, health.clone(), Arc::clone(&self.backends.ids), metrics);
        Ok(server.add_service(dogs).descriptors(FILE_DESCRIPTOR_SET))
    }
}

/// Fails when the schema is older than this build, or was changed after it was applied.
pub async fn check_schema(migrator: &dyn Migrator) -> anyhow::Result<()> {
    let steps = migrator.status().await.context("cannot read the schema version")?;
    let stale = |step: &&MigrationStep| matches!(step.state, MigrationState::Pending | MigrationState::Changed);
    if let Some(step) = steps.iter().find(stale) {
        bail!("migration `{}` is missing; apply it with `dogs migrate up` or MIGRATE_ON_START=true", step.name);
    }
    Ok(())
}

/// Closes the store after all components that use it have stopped.
struct StoreDriver(Database);

#[async_trait]
impl Component for StoreDriver {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        stop.requested().await;
        self.0.close().await;
        Ok(())
    }
}

/// Checks that the object store responds.
struct ObjectCheck(Arc<dyn ObjectStore>);

#[async_trait]
impl Check for ObjectCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Checks that the broker responds. Not required for readiness: events wait in the outbox while it is unreachable.
struct BrokerCheck(Arc<InstrumentedBroker>);

#[async_trait]
impl Check for BrokerCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Checks that the cache responds. Not required for readiness: requests read from the store while it is unreachable.
struct CacheCheck(Arc<dyn Cache>);

#[async_trait]
impl Check for CacheCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Closes the broker after all components that use it have stopped.
struct BrokerDriver(Arc<InstrumentedBroker>);

#[async_trait]
impl Component for BrokerDriver {
    fn name(&self) -> &'static str {
        "broker"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        stop.requested().await;
        self.0.close().await;
        Ok(())
    }
}
