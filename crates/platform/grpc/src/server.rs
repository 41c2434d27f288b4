//! The gRPC server component.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::Request;
use kennel_app::{Component, Health, Phase, Stop};
use kennel_core::{BoxError, IdSource};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
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

/// Errors of starting a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The address is in use or not an address of this machine.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The bytes passed to [`GrpcServer::descriptors`] are not a descriptor set.
    #[error("cannot decode descriptors")]
    Descriptors(#[source] BoxError),
}

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
    bound: watch::Sender<Option<SocketAddr>>,
    ready: Option<(TcpListener, Methods)>,
}

impl GrpcServer {
    /// Creates a server with only the built-in services.
    pub fn new(config: GrpcConfig, health: Health, ids: Arc<dyn IdSource>, metrics: GrpcMetrics) -> Self {
        Self {
            config,
            health,
            ids,
            metrics,
            routes: Routes::default(),
            descriptors: Vec::new(),
            bound: watch::Sender::new(None),
            ready: None,
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

    /// The bound address, or `None` before `init`.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        *self.bound.borrow()
    }

    /// Like [`GrpcServer::local_addr`], but can be waited for.
    pub fn bound(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.bound.subscribe()
    }

    fn all_descriptors(&self) -> Vec<&'static [u8]> {
        let built_in = reflection::DESCRIPTORS.into_iter().chain([tonic_health::pb::FILE_DESCRIPTOR_SET]);
        self.descriptors.iter().copied().chain(built_in).collect()
    }

    async fn bind(&self) -> Result<TcpListener, InitError> {
        let addr = self.config.addr;
        let failed = |source| InitError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        tracing::info!(component = "grpc", address = %addr, "listening");
        self.bound.send_replace(Some(addr));
        Ok(listener)
    }
}

#[async_trait]
impl Component for GrpcServer {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn phase(&self) -> Phase {
        Phase::Transport
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        let invalid = |error: BoxError| InitError::Descriptors(error);
        let descriptors = self.all_descriptors();
        let methods = Methods::read(&descriptors).map_err(|error| invalid(error.into()))?;
        let health = HealthServer::new(ReadinessHealth::new(methods.services(), self.health.ready()))
            .accept_compressed(COMPRESSION);
        let routes = std::mem::take(&mut self.routes).add_service(health);
        self.routes = reflection::add(routes, &descriptors).map_err(|error| invalid(error.into()))?.prepare();
        let listener = self.bind().await?;
        self.ready = Some((listener, methods));
        Ok(())
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let (listener, methods) = self.ready.take().ok_or("the server is not initialised")?;
        let server = ServerContext {
            methods,
            metrics: self.metrics,
            permits: Arc::new(Semaphore::new(self.config.max_in_flight)),
            timeout: self.config.timeout,
            ids: self.ids,
            domain: self.config.domain,
            stop: stop.clone(),
        };
        let calls = CallService { server: Arc::new(server), routes: self.routes };
        crate::serve::serve(listener, &self.config, calls, &stop).await;
        Ok(())
    }
}
