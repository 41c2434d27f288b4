//! The gRPC server component.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use http::Request;
use kennel_app::{Component, Health, Phase, Stop};
use kennel_core::{BoxError, IdSource};
use kennel_net::{Acceptor, Address, Listener};
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
    listener: Listener,
    methods: Option<Methods>,
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
            methods: None,
        }
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
        self
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
        let acceptor = Acceptor::new(self.listener.into_socket()?, self.config.max_connections);
        let server = ServerContext {
            methods,
            metrics: self.metrics,
            permits: Arc::new(Semaphore::new((self.config.server.max_in_flight as usize).min(Semaphore::MAX_PERMITS))),
            timeout: self.config.server.request_timeout.get(),
            ids: self.ids,
            domain: self.config.domain,
            stop: stop.clone(),
        };
        let calls = CallService { server: Arc::new(server), routes: self.routes };
        crate::serve::serve(acceptor, &self.config, calls, &stop).await;
        Ok(())
    }
}
