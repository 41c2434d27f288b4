//! The outermost layer: sets the request's id, span and metrics, and renders error responses as problem details.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kennel_core::UuidV7;
use kennel_net::{RequestContext, RequestId};
use kennel_telemetry::metrics::NO_ROUTE;
use kennel_telemetry::{InSpan, UNTRACED, as_i64, is_sampled, propagation};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::Span;
use tracing::field::Empty;

use super::SkipProblemDetails;
use super::body_timing::BodyTiming;
use crate::metrics::{HttpMetrics, method_label};
use crate::problem::{CONTENT_TYPE_PROBLEM, Problem, render};

/// Default security headers; a response may set its own values.
const SECURITY: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Records telemetry for every request of a router. Without metrics it records no traces either.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestTelemetry(Arc<Settings>);

#[derive(Debug, Default)]
struct Settings {
    metrics: Option<HttpMetrics>,
    body_idle: Option<Duration>,
}

/// A service with telemetry.
#[derive(Debug, Clone)]
pub(crate) struct Recorded<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl RequestTelemetry {
    pub(crate) fn with_metrics(metrics: HttpMetrics, body_idle: Duration) -> Self {
        Self(Arc::new(Settings { metrics: Some(metrics), body_idle: Some(body_idle) }))
    }
}

impl<S> Layer<S> for RequestTelemetry {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded { inner, settings: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for Recorded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = InSpan<dyn Future<Output = Result<Response, Infallible>> + Send>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId::of(request.headers(), &UuidV7);
        let route = request.extensions().get::<MatchedPath>().cloned();
        let span = self.settings.span(&request, route.as_ref(), &id);
        if let Some(trace) = propagation::extract(request.headers()) {
            propagation::set_parent(&span, &trace);
        }
        request.extensions_mut().insert(id.clone());
        let timing = BodyTiming::attach(&mut request, self.settings.body_idle);
        let timer = RequestTimer::start(self.settings.metrics.as_ref(), request.method().clone(), route, timing);
        let context = RequestContext::new(id.clone());
        // Routes do their work when they are polled, which is inside the span and the context.
        let work = context.clone().scope(self.inner.call(request));
        let recorded = span.clone();
        let work = Box::pin(async move {
            let response = finish(work.await?, &id);
            if let Some(principal) = context.principal() {
                recorded.record("enduser.id", principal.subject());
            }
            // No log line follows that could show it.
            if is_sampled() {
                record_status(&recorded, response.status());
            }
            timer.stop(response.status());
            Ok(response)
        });
        InSpan::new(span, work)
    }
}

impl Settings {
    fn span(&self, request: &Request, route: Option<&MatchedPath>, id: &RequestId) -> Span {
        if self.metrics.is_some() {
            span(request, route, id)
        } else {
            tracing::info_span!(target: UNTRACED, "request", request_id = id.as_str())
        }
    }
}

fn span(request: &Request, route: Option<&MatchedPath>, id: &RequestId) -> Span {
    let method = method_label(request.method());
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {}", route.as_str()));
    tracing::info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route.map(MatchedPath::as_str),
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        request_id = id.as_str(),
        enduser.id = Empty,
    )
}

fn record_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", as_i64(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Counts and times one request, also one whose client disconnects before the response (status 499).
struct RequestTimer {
    metrics: Option<HttpMetrics>,
    method: Method,
    route: Option<MatchedPath>,
    started: Instant,
    /// `None` if the request has no body.
    timing: Option<BodyTiming>,
    status: StatusCode,
}

impl RequestTimer {
    fn start(
        metrics: Option<&HttpMetrics>,
        method: Method,
        route: Option<MatchedPath>,
        timing: Option<BodyTiming>,
    ) -> Self {
        if let Some(metrics) = metrics {
            metrics.start();
        }
        Self {
            metrics: metrics.cloned(),
            method,
            route,
            started: Instant::now(),
            timing,
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    fn stop(mut self, status: StatusCode) {
        self.status = status;
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let millis = elapsed.as_secs_f64() * 1_000.0;
        tracing::debug!(target: "kennel_http::access", status = self.status.as_u16(), millis, "request completed");
        if let Some(metrics) = &self.metrics {
            let waited = self.timing.as_ref().map_or(Duration::ZERO, BodyTiming::waited);
            let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
            metrics.stop(&self.method, route, self.status, elapsed.saturating_sub(waited));
        }
    }
}

/// Renders every error as problem details, and adds the request id and the security headers.
pub(crate) fn finish(response: Response, id: &RequestId) -> Response {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let mut response = if failed { with_problem(response, id) } else { response };
    let headers = response.headers_mut();
    id.insert_into(headers);
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn with_problem(mut response: Response, id: &RequestId) -> Response {
    let known = response.extensions_mut().remove::<Arc<Problem>>();
    if known.is_none()
        && (is_problem(response.headers()) || response.extensions().get::<SkipProblemDetails>().is_some())
    {
        return response;
    }
    let mut problem = known.map_or_else(|| Problem::of_status(response.status()), |known| (*known).clone());
    problem.request_id = Some(id.as_str().to_owned());
    let (mut parts, _) = response.into_parts();
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let (rendered, body) = render(&problem).into_parts();
    parts.headers.extend(rendered.headers);
    parts.headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Response::from_parts(parts, body)
}

fn is_problem(headers: &HeaderMap) -> bool {
    let sent = headers.get(CONTENT_TYPE);
    sent.is_some_and(|value| value.as_bytes().starts_with(CONTENT_TYPE_PROBLEM.as_bytes()))
}
