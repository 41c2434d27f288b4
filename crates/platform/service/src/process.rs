//! Runs the components of one or several services until the process is asked to stop.

use std::process::ExitCode;

use anyhow::Context as _;
use async_trait::async_trait;
use kennel_app::{App, Component as _, ComponentFilter, Health, signals};
use kennel_http::{HttpServer, sys};
use kennel_telemetry::metrics::{self, BuildInfo};
use prometheus::Registry;

use crate::in_process::InProcess;
use crate::scope::Scope;
use crate::serve::{Components, RELAY, selectable};
use crate::settings::{ProcessSettings, ServiceSettings};
use crate::worker::Named;
use crate::{Context, Service};

/// What the services of a process share.
pub(crate) struct Process {
    settings: ProcessSettings,
    build: BuildInfo,
    health: Health,
    registry: Registry,
    shared: InProcess,
}

/// A service with its settings, whose type is erased.
#[async_trait(?Send)]
pub(crate) trait ConfiguredService: Send + Sync {
    /// The names of its components that `serve --only` can select.
    fn selectable(&self) -> Vec<&'static str>;

    /// The registry of its metrics, if it is not that of the process.
    fn own_registry(&self) -> Option<Registry>;

    /// Connects to everything that the service uses, and builds its components.
    async fn components(&self, only: &ComponentFilter) -> anyhow::Result<Vec<Named>>;
}

#[async_trait(?Send)]
impl<S: Service> ConfiguredService for Context<S> {
    fn selectable(&self) -> Vec<&'static str> {
        selectable::<S>(self.scope)
    }

    fn own_registry(&self) -> Option<Registry> {
        self.scope.0.map(|_| self.registry().clone())
    }

    async fn components(&self, only: &ComponentFilter) -> anyhow::Result<Vec<Named>> {
        let components = Components::build(self, only).await;
        match self.scope.0 {
            Some(name) => components.with_context(|| format!("the service `{name}`")),
            None => components,
        }
    }
}

impl Process {
    pub(crate) fn new(settings: ProcessSettings, build: BuildInfo) -> Self {
        let shared = InProcess::default();
        Self { settings, build, health: Health::new(), registry: metrics::registry(), shared }
    }

    /// The context of a service in this process.
    pub(crate) fn context<S: Service>(&self, settings: ServiceSettings<S>, scope: Scope) -> anyhow::Result<Context<S>> {
        let registry = scope.registry(&self.registry)?;
        let program = scope.0.map_or_else(|| S::NAME.to_owned(), |service| format!("{} {service}", self.build.service));
        let (health, shared) = (self.health.clone(), self.shared.clone());
        Ok(Context::new(settings, self.settings.clone(), scope, registry, health, shared, program))
    }

    /// Runs the components that `only` selects, all of them by default, until SIGTERM or SIGINT.
    pub(crate) async fn serve(
        self,
        services: Vec<Box<dyn ConfiguredService>>,
        only: Option<&str>,
    ) -> anyhow::Result<ExitCode> {
        let mut known: Vec<_> = services.iter().flat_map(|service| service.selectable()).collect();
        known.push("sys");
        let only = only.map_or_else(|| Ok(ComponentFilter::all()), |names| ComponentFilter::parse(names, &known))?;
        metrics::register_build(&self.registry, &self.build)?;
        metrics::register_runtime(&self.registry, &tokio::runtime::Handle::current())?;
        sys::register_dependencies(&self.registry, &self.health)?;
        let mut app = App::new(self.settings.shutdown).health(self.health.clone());
        let mut components = Vec::new();
        for service in &services {
            let selected =
                only == ComponentFilter::all() || service.selectable().iter().any(|name| only.includes(name));
            if !selected {
                continue;
            }
            components.extend(service.components(&only).await?);
        }
        // The groups of all services must exist when the first event is published to the in-process broker.
        components.sort_by_key(|component| component.name().ends_with(RELAY));
        app = components.into_iter().fold(app, App::component);
        // The last driver is the first to stop: no check runs while the dependencies are closed.
        app = app.component(self.health.readiness());
        if only.includes("sys") {
            let mut registries = vec![self.registry.clone()];
            registries.extend(services.iter().filter_map(|service| service.own_registry()));
            let routes = sys::router(sys::Sys { health: self.health.clone(), registries, build: self.build });
            app = app.component(HttpServer::new("sys", &self.settings.sys.http(), routes));
        }
        drop(services);
        app.run(signals()?).await?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}
