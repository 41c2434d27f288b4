//! Builds the components of a service from its connected dependencies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use kennel_app::{Component, ComponentFilter, Health};
use kennel_broker::{InstrumentedBroker, LagWatch};
use kennel_core::{Outbox, Publisher};
use kennel_grpc::{GrpcMetrics, GrpcServer};
use kennel_http::{HttpConfig, HttpMetrics, HttpServer, Stack, sys};
use kennel_net::{AccessCheck, CertificateReload, ServerTls, TlsMetrics};
use kennel_outbox::{Relay, RelayMetrics};
use kennel_storage::{DatabaseCheck, WriteCheck};

use crate::checks::{BrokerCheck, BrokerDriver, CacheCheck, ObjectCheck, StoreDriver, check_schema};
use crate::scope::Scope;
use crate::worker::Named;
use crate::{Context, Service, Uses, Worker, access, contracts};

/// The name of the [`Relay`]'s component.
pub(crate) const RELAY: &str = "outbox-relay";
/// What a service with an outbox uses.
const OUTBOX: Uses = Uses::STORAGE.and(Uses::BROKER);
/// How often the lag of consumer groups is read from the broker.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// The names of the service's components that `serve --only` can select; all other components always run.
pub(crate) fn selectable<S: Service>(scope: Scope) -> Vec<&'static str> {
    let standard = [(Uses::HTTP, "http"), (Uses::GRPC, "grpc"), (OUTBOX, RELAY)];
    let standard = standard.into_iter().filter(|(uses, _)| S::USES.includes(*uses)).map(|(_, name)| name);
    standard.chain(S::CONSUMERS.iter().copied()).map(|name| scope.component(name)).collect()
}

/// The HTTP application of a service: its routes, their documentation and the probes, with all layers. Without `access`,
/// everyone may call every route.
pub fn http_app<S: Service>(
    state: S::State,
    health: Health,
    config: &HttpConfig,
    metrics: &HttpMetrics,
    access: Option<Arc<dyn AccessCheck>>,
) -> Result<axum::Router, serde_json::Error> {
    let (routes, _) = S::http().split_for_parts();
    let routes = routes
        .with_state(state)
        .merge(sys::health(health))
        .merge(kennel_http::openapi::routes(&contracts::openapi::<S>())?);
    let unbounded = S::UNBOUNDED.iter().copied().chain(["/live", "/ready"]);
    Ok(Stack::new(config, metrics).exempt(unbounded).with_access(access).apply(routes))
}

/// The components of a service, in the order in which they start.
pub(crate) struct Components<'a, S: Service> {
    cx: &'a Context<S>,
    only: &'a ComponentFilter,
    tls: Option<ServerTls>,
    list: Vec<Named>,
}

impl<'a, S: Service> Components<'a, S> {
    /// Connects to everything that the service uses, builds the service, and returns its components.
    pub(crate) async fn build(cx: &'a Context<S>, only: &'a ComponentFilter) -> anyhow::Result<Vec<Named>> {
        let mut components = Self { cx, only, tls: None, list: Vec::new() };
        components.check_subset()?;
        components.connect().await?;
        components.load_certificate()?;
        let service = S::build(cx).await?;
        components.add_workers(service.workers(cx).await?)?;
        if S::USES.includes(OUTBOX) && components.includes(RELAY) {
            components.add_relay().await?;
        }
        let http = S::USES.includes(Uses::HTTP) && components.includes("http");
        let grpc = S::USES.includes(Uses::GRPC) && components.includes("grpc");
        let access = if http || grpc { cx.gate().await? } else { None };
        if http {
            components.add_http(&service, access.clone())?;
        }
        if grpc {
            components.add_grpc(&service, access)?;
        }
        Ok(components.list)
    }

    fn includes(&self, name: &'static str) -> bool {
        self.only.includes(&self.cx.scope.name(name))
    }

    fn add(&mut self, component: impl Component) {
        let name = self.cx.scope.component(component.name());
        self.list.push(Named::new(name, component));
    }

    /// Rejects a relay without consumers on the in-process broker: it reaches only consumers of its own process, so their
    /// events would be lost.
    fn check_subset(&self) -> anyhow::Result<()> {
        if !S::USES.includes(OUTBOX) || !self.cx.broker_is_in_process() || !self.includes(RELAY) {
            return Ok(());
        }
        if let Some(consumer) = self.cx.in_process.consumers().iter().find(|consumer| !self.only.includes(consumer)) {
            let relay = self.cx.scope.name(RELAY);
            bail!("with BROKER=memory, `{relay}` needs `{consumer}` in the same process");
        }
        Ok(())
    }

    /// Connects to the dependencies, in the order in which they are needed, and registers their health checks.
    async fn connect(&mut self) -> anyhow::Result<()> {
        let (cx, scope, health) = (self.cx, self.cx.scope, &self.cx.health);
        if let Some(watch) = cx.take_live_watch() {
            self.add(watch);
        }
        if S::USES.includes(Uses::STORAGE) {
            let database = cx.database().await?;
            check_schema(&*database.migrator, &cx.program).await?;
            health.register(scope.name("storage"), Arc::new(DatabaseCheck(Arc::clone(&database.driver))));
            health.observe(scope.name("storage_write"), Arc::new(WriteCheck(Arc::clone(&database.driver))));
            self.add(StoreDriver(database.clone()));
        }
        if S::USES.includes(Uses::CACHE) {
            let (cache, _) = cx.connected_cache().await?;
            health.observe(scope.name("cache"), Arc::new(CacheCheck(Arc::clone(&cache.cache))));
        }
        if S::USES.includes(Uses::OBJECTS) {
            health.register(scope.name("objects"), Arc::new(ObjectCheck(Arc::clone(cx.objects().await?))));
        }
        if S::USES.includes(Uses::BROKER) {
            let broker = cx.broker().await?;
            health.observe(scope.name("broker"), Arc::new(BrokerCheck(Arc::clone(broker))));
            self.add(BrokerDriver(Arc::clone(broker)));
            self.add(LagWatch::new(Arc::clone(broker), LAG_INTERVAL));
        }
        Ok(())
    }

    /// Reads the certificate of the servers, if there is one, and follows its files.
    fn load_certificate(&mut self) -> anyhow::Result<()> {
        let config = &self.cx.standard.tls;
        if config.is_enabled() {
            let metrics = TlsMetrics::register(self.cx.registry())?;
            self.tls =
                ServerTls::load(config, self.cx.clock(), metrics).context("cannot use the certificate of TLS_CERT")?;
        }
        if let Some(tls) = self.tls.clone() {
            self.add(CertificateReload::new(tls));
        }
        Ok(())
    }

    /// Adds feeds and workers before the relay: a consumer group must exist when the first event is published.
    fn add_workers(&mut self, workers: Vec<Worker>) -> anyhow::Result<()> {
        for feed in self.cx.take_feeds() {
            let progress = feed.progress();
            self.add_worker(Worker::new(feed).with_progress(progress));
        }
        for &consumer in S::CONSUMERS {
            let exists = workers.iter().any(|worker| worker.name() == consumer);
            ensure!(exists, "the service `{}` has no worker `{consumer}`", S::NAME);
        }
        for worker in workers {
            if !S::CONSUMERS.contains(&worker.name()) || self.includes(worker.name()) {
                self.add_worker(worker);
            }
        }
        Ok(())
    }

    fn add_worker(&mut self, worker: Worker) {
        let name = self.cx.scope.component(worker.name());
        if let Some(progress) = worker.progress {
            self.cx.health.progress(name, progress);
        }
        self.list.push(Named::boxed(name, worker.component));
    }

    async fn add_relay(&mut self) -> anyhow::Result<()> {
        let outbox: Arc<dyn Outbox> = Arc::clone(&self.cx.database().await?.outbox);
        let publisher: Arc<dyn Publisher> = Arc::<InstrumentedBroker>::clone(self.cx.broker().await?);
        let metrics = RelayMetrics::register(self.cx.registry())?;
        // The in-process broker acknowledges an event only when it was handled, so a high limit stops failing events from
        // delaying the others.
        let in_flight = if self.cx.broker_is_in_process() { 1_000 } else { 1 };
        let config = self.cx.standard.outbox.relay(in_flight);
        let relay = Relay::new(outbox, publisher, self.cx.clock(), self.cx.ids().next(), config, metrics);
        let progress = relay.progress();
        self.add_worker(Worker::new(relay).with_progress(progress));
        Ok(())
    }

    fn add_http(&mut self, service: &S, access: Option<Arc<dyn AccessCheck>>) -> anyhow::Result<()> {
        let config = &self.cx.standard.http;
        let metrics = HttpMetrics::register(self.cx.registry())?;
        let router = service.app(self.cx, &metrics, access)?;
        let name = self.cx.scope.component("http");
        let server = HttpServer::new(name, config, router).with_tls(self.tls.clone());
        self.add(server);
        Ok(())
    }

    fn add_grpc(&mut self, service: &S, access: Option<Arc<dyn AccessCheck>>) -> anyhow::Result<()> {
        let metrics = GrpcMetrics::register(self.cx.registry())?;
        let (name, config) = (self.cx.scope.component("grpc"), self.cx.standard.grpc.clone());
        let server = GrpcServer::new(name, config, self.cx.health.clone(), self.cx.ids(), metrics);
        let server = service.grpc(self.cx, server.with_tls(self.tls.clone()).with_access(access));
        access::check_methods::<S>(&server.method_paths()?)?;
        self.add(server);
        Ok(())
    }
}
