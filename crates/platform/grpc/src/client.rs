//! Client of other gRPC services.
//!
//! [`GrpcChannel`] takes the place of tonic's channel in any client that tonic generated. It balances calls over the
//! addresses that are ready by `grpc.health.v1`, forwards the trace, the id and the deadline of the request that causes the
//! call, retries what may be retried, and records metrics and a span for every call. Statuses of failed calls become
//! [`CallError`]s, with the kind that the service reported.

mod addresses;
mod call;
mod config;
mod error;
mod metrics;
mod retry;
mod tracked_body;
mod watch;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::{Request, Response};
use kennel_app::Check;
use kennel_config::{ConfigErrors, Section as _};
use kennel_core::BoxError;
use kennel_net::tls::trusted_roots;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::transport::Uri;

use self::addresses::{Addresses, NoAddress, Origin, is_https};
pub use self::config::{GrpcClientConfig, GrpcClientTuning};
pub use self::error::CallError;
pub use self::metrics::GrpcClientMetrics;
use self::retry::RetryBudget;
use self::watch::Watcher;
use crate::methods::Methods;
use crate::server::InvalidDescriptors;

/// Extension of a request whose effect is the same if the server receives it twice, for methods that do not say so in their
/// descriptors with `idempotency_level`.
#[derive(Debug, Clone, Copy)]
pub struct Idempotent;

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its settings are invalid.
    #[error("the settings of the grpc client `{name}` are invalid")]
    Config {
        /// The name of the client.
        name: &'static str,
        /// The problems.
        #[source]
        source: ConfigErrors,
    },
    /// Its descriptors cannot be decoded.
    #[error(transparent)]
    Descriptors(#[from] InvalidDescriptors),
    /// It cannot use TLS: CA certificates are missing or invalid, or the host of a URL cannot have a certificate.
    #[error("the grpc client `{name}` cannot use TLS")]
    Tls {
        /// The name of the client.
        name: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Calls a gRPC server. Clones share connections, the retry budget and metrics; the last one closes them.
#[derive(Clone)]
pub struct GrpcChannel {
    inner: Arc<ChannelInner>,
}

pub(crate) struct ChannelInner {
    name: &'static str,
    config: GrpcClientConfig,
    methods: Methods,
    metrics: GrpcClientMetrics,
    budget: RetryBudget,
    addresses: Arc<Addresses>,
    _watcher: JoinSet<()>,
}

impl GrpcChannel {
    /// Creates a client of the server that is called `name` in logs and metrics, and connects in the background: a server
    /// that is unreachable is no error. `descriptors` are encoded `FileDescriptorSet`s of the server's services: methods
    /// without descriptors count as `unknown`, have no timeout of their own, and are not retried.
    pub fn connect(
        name: &'static str,
        config: &GrpcClientConfig,
        descriptors: &[&[u8]],
        metrics: &GrpcClientMetrics,
    ) -> Result<Self, ConnectError> {
        config.validate().map_err(|source| ConnectError::Config { name, source })?;
        let methods = Methods::read(descriptors).map_err(|error| InvalidDescriptors(error.into()))?;
        let addresses = Arc::new(Addresses::new(metrics.addresses(name)));
        let watcher = Watcher {
            name,
            origins: origins(config).map_err(|source| ConnectError::Tls { name, source })?,
            tuning: config.tuning.clone(),
            addresses: Arc::clone(&addresses),
        };
        let inner = ChannelInner {
            name,
            config: config.clone(),
            methods,
            metrics: metrics.clone(),
            budget: RetryBudget::new(config.tuning.retry_budget),
            addresses,
            _watcher: JoinSet::from_iter([watcher.run()]),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Reads CA certificates once, and only for `https`.
fn origins(config: &GrpcClientConfig) -> Result<Vec<Origin>, BoxError> {
    let roots =
        if config.urls().any(|url| is_https(&url)) { Some(trusted_roots(config.grpc_ca.as_deref())?) } else { None };
    let origin = |url: Uri| {
        let roots = roots.as_ref().filter(|_| is_https(&url));
        Origin::new(url, roots, &config.tuning)
    };
    Ok(config.urls().map(origin).collect::<Result<_, _>>()?)
}

/// Fails while no address of the server is ready.
#[async_trait]
impl Check for GrpcChannel {
    async fn check(&self) -> Result<(), BoxError> {
        if self.inner.addresses.is_serving() { Ok(()) } else { Err(NoAddress::NotServing.into()) }
    }
}

impl tower::Service<Request<Body>> for GrpcChannel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { Ok(call::call(&inner, request).await) })
    }
}

impl std::fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcChannel").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
