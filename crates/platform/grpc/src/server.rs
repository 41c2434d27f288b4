//! The gRPC server component.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use http::Request;
use kennel_app::{Component, Health, Phase, Stop};
use kennel_core::{BoxError, IdSource};
use kennel_net::{Acceptor, AccessCheck, Address, Listener, Protocols, ServerTls};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Service;

use crate::call::{CallService, ServerContext};
use crate::compression::COMPRESSION;
use crate::config::GrpcConfig;
use crate::health::ReadinessHealth;
use crate::methods::Methods;
use crate::metrics::GrpcMetrics;
use crate::reflection;

/// The bytes passed to [`GrpcServer::descriptors`] are not a descriptor set.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode descriptors")]
pub struct InvalidDescriptors(#[source] pub(crate) BoxError);

/// Serves gRPC over HTTP/2, with `grpc.health.v1`, which follows readiness, and reflection.
///
/// On shutdown it accepts no new calls, waits for those in flight, and ends response streams with `UNAVAILABLE`.
/// Handlers of long calls find the [`Stop`] in the extensions of their request.
pub struct GrpcServer {
    config: GrpcConfig,
    health: Health,
    ids: Arc<dyn IdSource>,
    metrics: GrpcMetrics,
    routes: Routes,
    descriptors: Vec<&'static [u8]>,
    /// The names of the services that were added.
    added: Vec<&'static str>,
    listener: Listener,
    methods: Option<Methods>,
    tls: Option<ServerTls>,
    access: Option<Arc<dyn AccessCheck>>,
}

impl GrpcServer {
    /// Creates a server with only the built-in services. `name` is that of the component.
    pub fn new(
        name: &'static str,
        config: GrpcConfig,
        health: Health,
        ids: Arc<dyn IdSource>,
        metrics: GrpcMetrics,
    ) -> Self {
        Self {
            listener: Listener::new(name, config.addr()),
            config,
            health,
            ids,
            metrics,
            routes: Routes::default(),
            descriptors: Vec::new(),
            added: Vec::new(),
            methods: None,
            tls: None,
            access: None,
        }
    }

    /// Serves with TLS only, if there is one.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Asks `check`, if there is one, who may call a method. Otherwise everyone may call every method.
    #[must_use]
    pub fn with_access(mut self, check: Option<Arc<dyn AccessCheck>>) -> Self {
        self.access = check;
        self
    }

    /// Adds a service that tonic generated. Its descriptors must be added too: methods without descriptors count as
    /// `unknown`, their streams end at the server's timeout, and their service has no health status.
    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.added.push(S::NAME);
        self
    }

    /// The paths of the methods of the services that were added, without the leading slash, such as
    /// `dogs.v1.DogService/GetDog`. A service without descriptors is a path that ends with `/*`.
    pub fn method_paths(&self) -> Result<BTreeSet<String>, InvalidDescriptors> {
        let methods = Methods::read(&self.descriptors).map_err(|error| InvalidDescriptors(error.into()))?;
        let described = methods.services();
        let of_added =
            methods.paths().filter(|path| self.added.iter().any(|name| path.split('/').next() == Some(name)));
        let undescribed = self.added.iter().filter(|name| !described.contains(**name)).map(|name| format!("{name}/*"));
        Ok(of_added.map(str::to_owned).chain(undescribed).collect())
    }

    /// Adds an encoded `FileDescriptorSet`, for reflection, health checks and metric labels.
    #[must_use]
    pub fn descriptors(mut self, encoded: &'static [u8]) -> Self {
        self.descriptors.push(encoded);
        self
    }

    /// The address to listen on, with the port that the system chose if the configured port is 0.
    pub fn address(&self) -> Address {
        self.listener.address()
    }

    fn all_descriptors(&self) -> Vec<&'static [u8]> {
        let built_in = reflection::DESCRIPTORS.into_iter().chain([tonic_health::pb::FILE_DESCRIPTOR_SET]);
        self.descriptors.iter().copied().chain(built_in).collect()
    }
}

#[async_trait]
impl Component for GrpcServer {
    fn name(&self) -> &'static str {
        self.listener.component()
    }

    fn phase(&self) -> Phase {
        Phase::Transport
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        let invalid = |error: BoxError| InvalidDescriptors(error);
        let descriptors = self.all_descriptors();
        let methods = Methods::read(&descriptors).map_err(|error| invalid(error.into()))?;
        let health = HealthServer::new(ReadinessHealth::new(methods.services(), self.health.ready()))
            .accept_compressed(COMPRESSION);
        let routes = std::mem::take(&mut self.routes).add_service(health);
        self.routes = reflection::add(routes, &descriptors).map_err(|error| invalid(error.into()))?.prepare();
        self.methods = Some(methods);
        Ok(self.listener.bind()?)
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let methods = self.methods.take().ok_or("the server is not initialised")?;
        let acceptor = Acceptor::new(self.listener.into_socket()?, self.config.max_connections)
            .with_tls(self.tls, Protocols::Http2);
        let server = ServerContext {
            methods,
            metrics: self.metrics,
            permits: Arc::new(Semaphore::new((self.config.server.max_in_flight as usize).min(Semaphore::MAX_PERMITS))),
            timeout: self.config.server.request_timeout.get(),
            ids: self.ids,
            domain: self.config.domain,
            stop: stop.clone(),
            access: self.access,
        };
        let calls = CallService { server: Arc::new(server), routes: self.routes };
        crate::serve::serve(acceptor, &self.config, calls, &stop).await;
        Ok(())
    }
}
