//! The interface of a service.

use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::FromRef;
use clap::Subcommand;
use kennel_auth::AccessRules;
use kennel_config::{Problems, Settings};
use kennel_grpc::GrpcServer;
use kennel_http::HttpMetrics;
use kennel_net::AccessCheck;
use kennel_storage::Migrations;
use utoipa_axum::router::OpenApiRouter;

use crate::{Context, EventSet, StandardSettings, Worker};

/// The standard dependencies and servers that a service uses. Others have no settings, connections and health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses(u8);

impl Uses {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// The HTTP server.
    pub const HTTP: Self = Self(1);
    /// The gRPC server.
    pub const GRPC: Self = Self(1 << 1);
    /// The store, with its outbox and inbox.
    pub const STORAGE: Self = Self(1 << 2);
    /// The broker, and with a store, the relay that publishes the events of its outbox. A service without a store publishes
    /// directly, and has feeds of the topics of other services, but no consumers. It needs a broker that is a server, or a
    /// service with a store in the same process.
    pub const BROKER: Self = Self(1 << 3);
    /// The cache.
    pub const CACHE: Self = Self(1 << 4);
    /// The object store.
    pub const OBJECTS: Self = Self(1 << 5);
    /// Settings that change while the process runs.
    pub const LIVE: Self = Self(1 << 6);

    /// These and `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are used.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A service: what is its own. Everything that all services have, the platform adds: connections, health, metrics,
/// traces, the relay, probes, the command line and the contracts.
///
/// Only [`build`](Self::build) connects to anything; the functions without `self` describe the service, and also work
/// when its configuration is invalid.
#[expect(
    async_fn_in_trait,
    reason = "the futures run on the main task, which may be any thread, so they need not be `Send`"
)]
pub trait Service: Sized + Send + Sync + 'static {
    /// Its name, in lower case: prefix of components and cache keys, `domain` of gRPC errors, and name of its SQLite
    /// file. In a process with several services also the prefix of its settings.
    const NAME: &'static str;
    /// One sentence for the help of the command line.
    const ABOUT: &'static str;
    /// What it uses.
    const USES: Uses;
    /// The folder of its contracts under `api/`; that of a system with several services has one for each.
    const CONTRACTS: &'static str = Self::NAME;
    /// The prefix of its keys in the cache. Services of a system that share values have the same one, and a name of its own for each
    /// cache; a value in the memory of a process is shared by none.
    const CACHE: &'static str = Self::NAME;
    /// The default of `SERVER_PORT`. The services of a system have different ones, so that they run on one machine.
    const HTTP_PORT: u16 = 8080;
    /// The default of `GRPC_PORT`.
    const GRPC_PORT: u16 = 50051;
    /// The name of its HTTP server in the keys of live settings: `<service>/transport/rest/<name>/timeout` has priority over
    /// `REQUEST_TIMEOUT`.
    const HTTP_NAME: &'static str = "http";
    /// The consumer groups among its workers, which `serve --only` can select. A group is named `<service>.<purpose>`.
    const CONSUMERS: &'static [&'static str] = &[];
    /// Templates of HTTP routes that enforce their own limits on time and concurrency: streams and long uploads.
    const UNBOUNDED: &'static [&'static str] = &[];
    /// The migrations of its schema.
    const MIGRATIONS: Migrations = Migrations::NONE;

    /// What its HTTP handlers share; `Self` if that is the service.
    type State: FromRef<Self> + Clone + Send + Sync + 'static;
    /// The settings that only it has.
    type Config: Settings + Send + Sync;
    /// The commands that only it has; [`NoCommand`] if there are none.
    type Command: Subcommand + Send;

    /// Adds problems between its own settings and those of its standard dependencies.
    fn check(standard: &StandardSettings, own: &Self::Config, problems: &mut Problems) {
        let _ = (standard, own, problems);
    }

    /// The events that it publishes.
    fn events() -> EventSet {
        EventSet::default()
    }

    /// The routes of its HTTP API, with their descriptions. With `OpenApiRouter::default()`, that of the API itself is the name and
    /// [`ABOUT`](Self::ABOUT).
    fn http() -> OpenApiRouter<Self::State> {
        OpenApiRouter::with_openapi(kennel_http::openapi::document(Self::NAME, Self::ABOUT))
    }

    /// What a caller needs for each route and each method of gRPC, unless `AUTH` is `none`. By default, a
    /// caller needs the scope `<name>:read` to read, and `<name>:write` for everything else. What no rule covers is refused. The
    /// platform adds its own: the probes, the description of the API, health and reflection are public.
    fn access() -> AccessRules {
        AccessRules::new().others(format!("{}:read", Self::NAME), format!("{}:write", Self::NAME))
    }

    /// Creates the running service from its connected dependencies.
    async fn build(cx: &Context<Self>) -> anyhow::Result<Self>;

    /// Its HTTP application: by default, its routes, their documentation and the probes, with all layers. Another one, such as
    /// that of a proxy, has to do what the layers do, and to ask `access` itself.
    fn app(
        &self,
        cx: &Context<Self>,
        metrics: &HttpMetrics,
        access: Option<Arc<dyn AccessCheck>>,
    ) -> anyhow::Result<axum::Router> {
        Ok(crate::http_app::<Self>(FromRef::from_ref(self), cx.health.clone(), &cx.standard.http, metrics, access)?)
    }

    /// Adds its gRPC services to the server.
    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let _ = cx;
        server
    }

    /// Its background work.
    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let _ = cx;
        Ok(Vec::new())
    }

    /// Runs one of its commands, without servers and workers.
    async fn run(cx: &Context<Self>, command: Self::Command) -> anyhow::Result<ExitCode> {
        let _ = (cx, command);
        anyhow::bail!("the service `{}` has no commands of its own", Self::NAME)
    }
}

/// The commands of a service that has none.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum NoCommand {}
