//! Puts the service together: the only place, beside the `connect.rs` of each port, that knows which parts there are.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use dogs_domain::service::Ports;
use dogs_domain::{DogService, DogSource, events};
use dogs_storages::{Cached, Stores};
use kennel_app::{App, Check, Component, Health, Only, Options, Phase, Stop};
use kennel_broker::{Broker, BrokerMetrics, Connected, LagWatch};
use kennel_cache::{CacheMetrics, Typed};
use kennel_core::{
    BoxError, Cache, Clock, DeadLetters, IdSource, ObjectStore, Part as _, Publisher, Subscriber, SystemClock, UuidV7,
};
use kennel_grpc::{GrpcMetrics, GrpcServer};
use kennel_http::{HttpMetrics, HttpServer};
use kennel_objects::ObjectMetrics;
use kennel_outbox::{Consumer, ConsumerMetrics, ConsumerPorts, Feed, FeedConfig, Relay, RelayMetrics};
use kennel_proto::dogs::v1::FILE_DESCRIPTOR_SET;
use kennel_storage::{Migrator, State, Step};
use kennel_telemetry::metrics::{self, BuildInfo};
use kennel_telemetry::propagation;
use prometheus::Registry;

use crate::config::DogsSettings;
use crate::grpc::DogRpc;
use crate::http::{ApiState, Parts};
use crate::source;
use crate::workers::{Housekeeper, Invalidator, Thumbnailer};

/// What is running.
pub const BUILD: BuildInfo =
    BuildInfo { service: "dogs", version: env!("CARGO_PKG_VERSION"), git_sha: option_env!("GIT_SHA") };

/// The components that `serve --only` can pick; the others run beside whichever is picked.
pub const SELECTABLE: [&str; 5] = ["http", "grpc", "sys", "relay", "thumbnailer"];

/// How often the broker is asked how far its groups are behind.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// The service with everything it stands on, connected. The command line uses it as it is; `serve` runs its [`App`].
pub struct Wiring {
    /// What it was made from.
    pub settings: DogsSettings,
    /// The dogs.
    pub service: DogService,
    /// The store.
    pub stores: Stores,
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// What consumer groups gave up on: with the broker, or else with the store.
    pub dead_letters: Arc<dyn DeadLetters>,
    ids: Arc<dyn IdSource>,
    registry: Registry,
    cache: Arc<dyn Cache>,
    cached: Arc<Cached>,
    objects: Arc<dyn ObjectStore>,
    broker: Arc<kennel_broker::Metered>,
}

impl Wiring {
    /// Opens every part. The schema is brought up first, where the settings say so.
    pub async fn open(settings: DogsSettings) -> anyhow::Result<Self> {
        let registry = metrics::registry();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(UuidV7);
        let stores = dogs_storages::connect(&settings.storage.storage()).await?.observed(&registry)?;
        if settings.storage.migrate_on_start {
            stores.migrator.up(clock.now()).await.context("the schema cannot be brought up")?;
        }
        let cache = kennel_cache::connect(&settings.cache.cache()).await?;
        let typed = Typed::new(&cache, settings.cache.dogs(), &CacheMetrics::register(&registry)?);
        let cached = Arc::new(Cached::new(Arc::clone(&stores.dogs), typed));
        let objects = kennel_objects::connect(&settings.objects.objects(), &*clock).await?;
        let objects: Arc<dyn ObjectStore> =
            Arc::new(kennel_objects::Metered::new(objects, ObjectMetrics::register(&registry)?));
        let sink = Arc::clone(&stores.dead_letter_sink);
        let Connected { broker, dead_letters } =
            kennel_broker::connect(&settings.broker(), sink, Arc::clone(&clock)).await?;
        let dead_letters = dead_letters.unwrap_or_else(|| Arc::clone(&stores.dead_letters));
        let metered = kennel_broker::Metered::new(broker, BrokerMetrics::register(&registry)?, &[events::TOPIC]);
        let broker = Arc::new(metered);
        let source = source(&settings, &registry)?;
        let ports = Ports {
            repo: Arc::<Cached>::clone(&cached),
            source,
            objects: Arc::clone(&objects),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            trace: propagation::current,
        };
        let service = DogService::new(ports, settings.objects.picture_limit.0);
        Ok(Self {
            settings,
            service,
            stores,
            clock,
            dead_letters,
            ids,
            registry,
            cache: cache.cache,
            cached,
            objects,
            broker,
        })
    }

    /// Fails when the schema is older than this build, or has been changed since.
    pub async fn check_schema(&self) -> anyhow::Result<()> {
        check_schema(&*self.stores.migrator).await
    }

    /// The process that `serve` runs, with the components that `only` picks.
    pub fn app(self, only: &Only) -> anyhow::Result<App> {
        self.check_subset(only)?;
        metrics::register_build(&self.registry, &BUILD)?;
        metrics::register_runtime(&self.registry, &tokio::runtime::Handle::current())?;
        let health = Health::new();
        health.register("storage", Arc::clone(&self.stores.check));
        health.register("objects", Arc::new(ObjectCheck(Arc::clone(&self.objects))));
        health.observe("broker", Arc::new(BrokerCheck(Arc::clone(&self.broker))));
        health.observe("cache", Arc::new(CacheCheck(Arc::clone(&self.cache))));
        kennel_http::sys::register_dependencies(&self.registry, &health)?;
        let consumed = ConsumerMetrics::register(&self.registry)?;
        let feed = self.feed(&consumed);
        health.progress(feed.name(), feed.progress());
        let server = &self.settings.server;
        let options = Options { drain_delay: server.drain_delay.get(), deadline: server.shutdown_deadline.get() };
        let mut app = App::new(options)
            .health(health.clone())
            .component(StoreDriver(self.stores.clone()))
            .component(health.readiness())
            .component(BrokerDriver(Arc::clone(&self.broker)))
            .component(LagWatch::new(Arc::clone(&self.broker), LAG_EVERY))
            .component(feed.clone())
            .component(Invalidator::new(feed.clone(), Arc::clone(&self.cached), self.broker.system()))
            .component(Housekeeper::new(
                Arc::clone(&self.stores.dogs),
                Arc::clone(&self.clock),
                self.settings.outbox.retention.get(),
            ));
        // Before the relay: a group has to be there when the first event is published.
        if only.includes("thumbnailer") {
            let thumbnailer = self.thumbnailer(&consumed);
            health.progress(thumbnailer.name(), thumbnailer.progress());
            app = app.component(thumbnailer);
        }
        if only.includes("relay") {
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
            let sys = kennel_http::sys::Sys { health, registry: self.registry.clone(), build: BUILD };
            app = app.component(HttpServer::new("sys", &server.sys(), kennel_http::sys::router(sys)));
        }
        Ok(app)
    }

    fn broker_is_in_process(&self) -> bool {
        self.settings.broker.broker == kennel_broker::Backend::Memory
    }

    /// The in-process broker answers only once an event is dealt with: many batches at once keep events in trouble from
    /// holding up the others.
    fn events_in_flight(&self) -> u32 {
        if self.broker_is_in_process() { 1_000 } else { 1 }
    }

    /// The in-process broker reaches consumers of its own process alone: a relay without them would lose their events.
    fn check_subset(&self, only: &Only) -> anyhow::Result<()> {
        if self.broker_is_in_process() && only.includes("relay") && !only.includes("thumbnailer") {
            bail!("with BROKER=memory, `relay` needs `thumbnailer` in the same process");
        }
        Ok(())
    }

    fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::<kennel_broker::Metered>::clone(&self.broker)
    }

    fn feed(&self, consumed: &ConsumerMetrics) -> Feed {
        let outbox = Arc::clone(&self.stores.outbox);
        Feed::new(events::TOPIC, self.subscriber(), outbox, FeedConfig::default(), consumed.clone())
    }

    fn thumbnailer(&self, consumed: &ConsumerMetrics) -> Consumer {
        let ports = ConsumerPorts {
            subscriber: self.subscriber(),
            inbox: Arc::clone(&self.stores.inbox),
            clock: Arc::clone(&self.clock),
            metrics: consumed.clone(),
            system: self.broker.system(),
        };
        let handler = Arc::new(Thumbnailer::new(self.service.clone(), Arc::clone(&self.objects)));
        Consumer::new(Thumbnailer::GROUP, events::TOPIC, handler, self.settings.outbox.consumer(), ports)
    }

    fn relay(&self) -> Result<Relay, prometheus::Error> {
        let outbox = Arc::clone(&self.stores.outbox);
        let publisher: Arc<dyn Publisher> = Arc::<kennel_broker::Metered>::clone(&self.broker);
        let metrics = RelayMetrics::register(&self.registry)?;
        let holder = self.ids.next();
        let config = self.settings.outbox.relay(self.events_in_flight());
        Ok(Relay::new(outbox, publisher, Arc::clone(&self.clock), holder, config, metrics))
    }

    fn http(&self, feed: &Feed, health: &Health) -> anyhow::Result<HttpServer> {
        let server = &self.settings.server;
        let state = ApiState {
            service: self.service.clone(),
            feed: feed.clone(),
            ids: Arc::clone(&self.ids),
            public_url: server.public_url(),
            metrics_url: server.metrics_url(),
            grafana_url: server.grafana_url.clone(),
            parts: Parts {
                storage: self.settings.storage.storage.name(),
                broker: self.settings.broker.broker.name(),
                cache: self.settings.cache.cache.name(),
                objects: self.settings.objects.objects.name(),
            },
            health: health.clone(),
        };
        let metrics = HttpMetrics::register(&self.registry)?;
        let config = server.http();
        Ok(HttpServer::new("http", &config, crate::http::app(state, &config, &metrics)?))
    }

    fn grpc(&self, feed: &Feed, health: &Health) -> anyhow::Result<GrpcServer> {
        let config = self.settings.server.grpc();
        let links = crate::http::Links::new(&self.settings.server.public_url());
        let dogs =
            DogRpc::server(self.service.clone(), feed.clone(), links, Arc::clone(&self.ids), config.max_message_bytes);
        let metrics = GrpcMetrics::register(&self.registry)?;
        let server = GrpcServer::new(config, health.clone(), Arc::clone(&self.ids), metrics);
        Ok(server.add_service(dogs).descriptors(FILE_DESCRIPTOR_SET))
    }
}

/// Fails when the schema is older than this build, or has been changed since.
pub async fn check_schema(migrator: &dyn Migrator) -> anyhow::Result<()> {
    let steps = migrator.status().await.context("the schema cannot be read")?;
    let stale = |step: &&Step| matches!(step.state, State::Pending | State::Changed);
    if let Some(step) = steps.iter().find(stale) {
        bail!("the schema lacks `{}`; bring it up with `dogs migrate up` or MIGRATE_ON_START=true", step.name);
    }
    Ok(())
}

fn source(settings: &DogsSettings, registry: &Registry) -> anyhow::Result<Arc<dyn DogSource>> {
    let Some(base_url) = &settings.source.dog_api_base_url else {
        return Ok(Arc::new(source::EmbeddedSource::default()));
    };
    Ok(Arc::new(source::DogCeoSource::connect(base_url, &settings.source, registry)?))
}

/// Closes the store after everything that uses it has stopped.
struct StoreDriver(Stores);

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

/// Whether the object store answers.
struct ObjectCheck(Arc<dyn ObjectStore>);

#[async_trait]
impl Check for ObjectCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Whether the broker answers. Events wait for it in the outbox, so requests go on without it.
struct BrokerCheck(Arc<kennel_broker::Metered>);

#[async_trait]
impl Check for BrokerCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Whether the cache answers. What it would know is read from the store, so requests go on without it.
struct CacheCheck(Arc<dyn Cache>);

#[async_trait]
impl Check for CacheCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Closes the broker after everything that uses it has stopped.
struct BrokerDriver(Arc<kennel_broker::Metered>);

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
