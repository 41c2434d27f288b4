//! Sends requests to an upstream: balanced over its addresses, under limits, and again only where that is safe.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kennel_client::Breaker;
use kennel_core::{Backoff, BoxError, ErrorKind};
use kennel_http::HttpError;
use kennel_net::tls::trusted_roots;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::body::{RequestBody, Upload, UploadFault};
use crate::metrics::{Attempt, GatewayMetrics};
use crate::routes::UpstreamConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than servers keep idle connections, so that few requests meet one that is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const POOL_MAX_IDLE: usize = 256;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Attempts of one request, including the first.
const MAX_ATTEMPTS: u32 = 3;
const RETRY_PAUSE: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(250));
/// A retry costs ten, a request adds one: retries add at most a tenth to the load of an upstream that fails.
const RETRY_COST: i64 = 10;
const MAX_RETRY_BUDGET: i64 = 10 * RETRY_COST;

/// A service behind the gateway.
pub(crate) struct Upstream {
    name: String,
    addresses: Vec<Address>,
    turn: AtomicUsize,
    client: Client<HttpsConnector<HttpConnector>, RequestBody>,
    breaker: Breaker,
    /// What the gauge shows.
    is_open: AtomicBool,
    permits: Arc<Semaphore>,
    retries: AtomicI64,
    metrics: GatewayMetrics,
}

struct Address {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("too many requests are in flight")]
    Overloaded,
    #[error("the circuit is open")]
    CircuitOpen(Duration),
    #[error("the upstream did not answer in time")]
    Timeout,
    #[error("the client did not send its request")]
    Upload(#[source] UploadFault),
    #[error("the upstream failed")]
    Failed(#[source] hyper_util::client::legacy::Error),
    #[error("the address of the upstream is invalid")]
    Address(#[source] http::Error),
}

impl From<UpstreamError> for HttpError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Overloaded => Self::overloaded(error),
            UpstreamError::CircuitOpen(pause) => Self::new(ErrorKind::Unavailable).with_retry_after(pause),
            UpstreamError::Timeout => Self::from_error(ErrorKind::Timeout, error),
            UpstreamError::Upload(fault) => fault.into(),
            UpstreamError::Failed(source) => {
                let kind = if source.is_connect() { ErrorKind::Unavailable } else { ErrorKind::BadUpstream };
                Self::from_error(kind, source)
            }
            UpstreamError::Address(_) => Self::from_error(ErrorKind::Internal, error),
        }
    }
}

/// An upstream cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("the upstream `{name}` cannot be used")]
pub(crate) struct InvalidUpstream {
    name: String,
    #[source]
    source: BoxError,
}

impl Upstream {
    pub(crate) fn new(config: &UpstreamConfig, metrics: GatewayMetrics) -> Result<Self, InvalidUpstream> {
        let invalid = |source: BoxError| InvalidUpstream { name: config.name.clone(), source };
        let mut addresses = Vec::new();
        for url in &config.urls {
            let uri: Uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| invalid(error.into()))?;
            let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority().cloned()) else {
                return Err(invalid("its url has no host".into()));
            };
            let host = HeaderValue::from_str(authority.as_str()).map_err(|error| invalid(error.into()))?;
            addresses.push(Address { scheme, authority, host });
        }
        let tls = client_tls(config, &addresses).map_err(invalid)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = if config.http2 {
            connector.enable_http2().wrap_connector(http)
        } else {
            connector.enable_http1().wrap_connector(http)
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .http2_only(config.http2)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .set_host(false)
            .build(connector);
        metrics.circuit(&config.name, false);
        Ok(Self {
            name: config.name.clone(),
            addresses,
            turn: AtomicUsize::default(),
            client,
            breaker: Breaker::new(config.breaker_failures, config.breaker_pause),
            is_open: AtomicBool::default(),
            permits: Arc::new(Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS))),
            retries: AtomicI64::new(MAX_RETRY_BUDGET),
            metrics,
        })
    }

    /// The right to one request, until its response has ended.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, UpstreamError> {
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| UpstreamError::Overloaded)
    }

    /// Sends a request whose URI is a path.
    ///
    /// A request without a body and with an idempotent method is sent again, to the next address, when the connection fails
    /// before a response: then it has had no effect, or one that a repetition does not change.
    pub(crate) async fn send(
        &self,
        mut request: Request<RequestBody>,
        patience: &Patience,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let may_repeat = request.method().is_idempotent() && request.body().is_end_stream();
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        self.retries.fetch_add(1, Ordering::Relaxed);
        for attempt in 1.. {
            let copy = (may_repeat && attempt < MAX_ATTEMPTS).then(|| copy(&request));
            self.address(&mut request, &path)?;
            let error = match self.attempt(request, patience).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match copy {
                Some(copy) if matches!(error, UpstreamError::Failed(_)) && self.may_retry() => request = copy,
                _ => return Err(error),
            }
            self.metrics.retry(&self.name);
            let pause = RETRY_PAUSE.delay(attempt);
            if Instant::now() + pause >= patience.deadline() {
                return Err(error);
            }
            sleep(pause).await;
        }
        Err(UpstreamError::Timeout)
    }

    /// Sets the next address. Addresses take turns.
    fn address(&self, request: &mut Request<RequestBody>, path: &PathAndQuery) -> Result<(), UpstreamError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let Address { scheme, authority, host } = &self.addresses[turn % self.addresses.len()];
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query(path.clone());
        *request.uri_mut() = uri.build().map_err(UpstreamError::Address)?;
        request.headers_mut().insert(HOST, host.clone());
        Ok(())
    }

    async fn attempt(
        &self,
        request: Request<RequestBody>,
        patience: &Patience,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let permit = self.breaker.permit().map_err(|pause| {
            self.show_circuit(true);
            UpstreamError::CircuitOpen(pause)
        })?;
        let started = Instant::now();
        let result = match patience.limit(self.client.request(request)).await {
            Some(result) => result
                .map_err(|error| patience.upload.fault().map_or(UpstreamError::Failed(error), UpstreamError::Upload)),
            None => Err(UpstreamError::Timeout),
        };
        // Whoever sends no complete request, or has too little time, does not show whether the upstream is down.
        let (outcome, is_up) = match &result {
            Ok(response) => (Attempt::Ok, Some(!is_outage(response.status()))),
            Err(UpstreamError::Timeout) => (Attempt::Timeout, (!patience.is_up_to_client()).then_some(false)),
            Err(UpstreamError::Failed(_)) => (Attempt::Failed, Some(false)),
            Err(UpstreamError::Upload(_)) => (Attempt::Failed, None),
            Err(_) => (Attempt::Failed, Some(true)),
        };
        match is_up {
            Some(is_up) => permit.record(is_up),
            None => drop(permit),
        }
        self.show_circuit(self.breaker.is_open());
        self.metrics.attempt(&self.name, outcome, started.elapsed());
        result
    }

    fn show_circuit(&self, is_open: bool) {
        if self.is_open.load(Ordering::Relaxed) != is_open {
            self.is_open.store(is_open, Ordering::Relaxed);
            self.metrics.circuit(&self.name, is_open);
        }
    }

    fn may_retry(&self) -> bool {
        let taken = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| {
            let budget = budget.min(MAX_RETRY_BUDGET);
            (budget >= RETRY_COST).then_some(budget - RETRY_COST)
        });
        taken.is_ok()
    }
}

/// Whether a status says that the upstream, or what it depends on, is down.
fn is_outage(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// The request again; it has no body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = Method::clone(request.method());
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// How long the start of a response is awaited.
pub(crate) struct Patience {
    /// Since something of the request arrived last.
    pub(crate) limit: Duration,
    /// The same while the client has to send more: its body times out by itself before.
    pub(crate) while_uploading: Duration,
    /// The client has set the limit.
    pub(crate) is_of_client: bool,
    pub(crate) upload: Upload,
}

impl Patience {
    /// An upload moves it.
    fn deadline(&self) -> Instant {
        self.upload.last() + if self.upload.is_waiting() { self.while_uploading } else { self.limit }
    }

    /// Whether it is up to the client if the limit passes.
    fn is_up_to_client(&self) -> bool {
        self.is_of_client || self.upload.is_waiting()
    }

    /// `None` if the work does not end before its deadline.
    async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            // The deadline is earlier once the upload is complete.
            let at = self.deadline().min(Instant::now() + self.limit);
            match timeout_at(at, &mut work).await {
                Ok(done) => return Some(done),
                Err(_) if self.deadline() > Instant::now() => {}
                Err(_) => return None,
            }
        }
    }
}

/// Trusts the authorities of the system, or only those of a file; none without an address of `https`.
fn client_tls(config: &UpstreamConfig, addresses: &[Address]) -> Result<ClientConfig, BoxError> {
    let roots = if addresses.iter().any(|address| address.scheme == Scheme::HTTPS) {
        trusted_roots(config.ca.as_deref().map(Path::new))?
    } else {
        RootCertStore::empty()
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
