//! One call: its deadline, span and metrics, and its attempts.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kennel_net::RequestContext;
use kennel_telemetry::{as_i64, propagation};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::StatusExt as _;
use tower::{Service as _, ServiceExt as _};
use tracing::{Instrument as _, Span, field};

use super::addresses::Address;
use super::metrics::ClientTimer;
use super::tracked_body::{ActiveCall, TrackedBody};
use super::{ChannelInner, GrpcClientConfig, Idempotent};
use crate::body::outcome;
use crate::deadline;
use crate::methods::Method;

/// Makes a call. Every failure is a response with a status.
pub(crate) async fn call(channel: &ChannelInner, request: Request<Body>) -> Response<Body> {
    let method = channel.methods.find(request.uri().path());
    let deadline = deadline_of(channel, request.headers(), &method);
    let span = span(channel, &method);
    let timer = channel.metrics.start(channel.name, Arc::clone(&method));
    let active = ActiveCall::new(span.clone(), timer);
    channel.budget.deposit();
    let attempts = async {
        let work = attempts(channel, request, &method, deadline, active.timer());
        match deadline {
            Some(at) => timeout_at(at, work).await.unwrap_or_else(|_| deadline_exceeded()),
            None => work.await,
        }
    };
    let response = attempts.instrument(span).await;
    let (parts, body) = response.into_parts();
    let body = TrackedBody::new(&parts.headers, body, active, deadline);
    Response::from_parts(parts, Body::new(body))
}

/// When the call must end: the earliest of the time that the caller set, the configured timeout unless the call is a stream,
/// and the deadline of the surrounding request, with time left to answer it.
fn deadline_of(channel: &ChannelInner, headers: &HeaderMap, method: &Method) -> Option<Instant> {
    let now = Instant::now();
    let is_unary = !method.client_streaming && !method.server_streaming && !method.is_unknown();
    let configured = is_unary.then(|| channel.config.grpc_timeout.get());
    let after = [deadline::requested(headers), configured].into_iter().flatten().min();
    let own = after.and_then(|after| now.checked_add(after));
    let surrounding = RequestContext::current().and_then(|context| context.deadline());
    let surrounding = surrounding.map(|at| at.checked_sub(channel.config.tuning.deadline_margin).unwrap_or(now));
    [own, surrounding].into_iter().flatten().min()
}

fn span(channel: &ChannelInner, method: &Method) -> Span {
    tracing::info_span!(
        "grpc.client",
        otel.name = format_args!("{}/{}", method.service, method.name),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = method.service,
        rpc.method = method.name,
        rpc.grpc.status_code = field::Empty,
        upstream = channel.name,
        server.address = field::Empty,
        server.port = field::Empty,
    )
}

/// A request that may be sent several times, or only once because it is a stream.
enum Outgoing {
    Repeatable(Parts, Bytes),
    Once(Request<Body>),
}

impl Outgoing {
    async fn of(request: Request<Body>, method: &Method) -> Result<Self, Status> {
        if method.client_streaming || method.is_unknown() {
            return Ok(Self::Once(request));
        }
        let (parts, body) = request.into_parts();
        Ok(Self::Repeatable(parts, body.collect().await?.to_bytes()))
    }

    /// The request of the next attempt. There is only one if the request cannot be repeated.
    fn next(&mut self) -> Request<Body> {
        match self {
            Self::Repeatable(parts, body) => Request::from_parts(parts.clone(), Body::new(Full::new(body.clone()))),
            Self::Once(request) => std::mem::replace(request, Request::new(Body::empty())),
        }
    }

    const fn is_repeatable(&self) -> bool {
        matches!(self, Self::Repeatable(..))
    }
}

/// What an attempt came to.
struct Failure {
    status: Status,
    /// Whether the server cannot have received the request.
    never_sent: bool,
}

async fn attempts(
    channel: &ChannelInner,
    request: Request<Body>,
    method: &Method,
    deadline: Option<Instant>,
    timer: &ClientTimer,
) -> Response<Body> {
    let is_idempotent = method.is_idempotent() || request.extensions().get::<Idempotent>().is_some();
    let mut outgoing = match Outgoing::of(request, method).await {
        Ok(outgoing) => outgoing,
        Err(status) => return status.into_http(),
    };
    let tuning = &channel.config.tuning;
    let mut tried: Vec<SocketAddr> = Vec::new();
    loop {
        let mut request = outgoing.next();
        prepare(request.headers_mut(), &channel.config, deadline);
        let address = match channel.addresses.pick(&tried).await {
            Ok(address) => address,
            Err(error) => return unavailable(&error.to_string()),
        };
        tried.push(address.socket);
        let failure = match attempt(&address, request).await {
            Ok(response) => match failure(&response) {
                Some(status) => Failure { status, never_sent: false },
                None => return response,
            },
            Err(failure) => failure,
        };
        let attempts = u32::try_from(tried.len()).unwrap_or(u32::MAX);
        let may_repeat = outgoing.is_repeatable() && (is_idempotent || failure.never_sent);
        if !may_repeat || attempts >= tuning.max_attempts || !channel.budget.withdraw() {
            return failure.status.into_http();
        }
        let pause = tuning.retry.delay(attempts).max(retry_after(&failure.status));
        if deadline.is_some_and(|at| Instant::now() + pause >= at) {
            return failure.status.into_http();
        }
        timer.retry();
        tracing::debug!(client = channel.name, attempts, status = ?failure.status.code(), "retrying");
        sleep(pause).await;
    }
}

/// The header with the API key of this service.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Sets what the server gets to know about this service and the surrounding request.
fn prepare(headers: &mut HeaderMap, config: &GrpcClientConfig, deadline: Option<Instant>) {
    propagation::inject(headers);
    if let Some(key) = config.api_key() {
        headers.insert(API_KEY, key);
    }
    if let Some(context) = RequestContext::current() {
        context.request_id().insert_into(headers);
    }
    if let Some(at) = deadline {
        deadline::insert(headers, at.saturating_duration_since(Instant::now()));
    }
}

async fn attempt(address: &Address, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let span = Span::current();
    span.record("server.address", field::display(address.socket.ip()));
    span.record("server.port", as_i64(address.socket.port()));
    let mut channel = address.channel.clone();
    let sent = async { channel.ready().await?.call(request).await };
    sent.await.map_err(|error| {
        if has::<TimeoutExpired>(&error) {
            return Failure { status: timed_out(), never_sent: false };
        }
        let never_sent = has::<ConnectError>(&error);
        // Without details, so that the next attempt need not wait: it goes to another address.
        let mut status = Status::unavailable("the server does not answer");
        status.set_source(Arc::new(error));
        Failure { status, never_sent }
    })
}

/// Whether an error of this type is in the chain of sources.
fn has<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The status of a response that is complete and says that the server is unavailable.
fn failure(response: &Response<Body>) -> Option<Status> {
    (outcome(response.headers()) == Some(Code::Unavailable)).then(|| Status::from_header_map(response.headers()))?
}

/// The delay that the server asks for.
fn retry_after(status: &Status) -> Duration {
    status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default()
}

fn unavailable(reason: &str) -> Response<Body> {
    Status::unavailable(reason).into_http()
}

fn timed_out() -> Status {
    Status::deadline_exceeded("the call did not complete in time")
}

fn deadline_exceeded() -> Response<Body> {
    timed_out().into_http()
}
