//! The outermost layer: the request's id, span and metrics, and the final shape of its response.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kennel_telemetry::metrics::NO_ROUTE;
use kennel_telemetry::{UNTRACED, number, propagation};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Verbatim;
use super::arrival::Arrival;
use crate::metrics::{HttpMetrics, method_label};
use crate::problem::{CONTENT_TYPE_PROBLEM, Problem, render};
use crate::request_id::{self, RequestId};

/// Headers of every response that does not set its own.
const SECURITY: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Watches over every request of a router; without metrics also without traces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observer {
    metrics: Option<HttpMetrics>,
    body_idle: Option<Duration>,
}

impl Observer {
    pub(crate) fn with_metrics(metrics: HttpMetrics, body_idle: Duration) -> Self {
        Self { metrics: Some(metrics), body_idle: Some(body_idle) }
    }

    pub(crate) fn apply(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), observe))
    }
}

async fn observe(State(observer): State<Arc<Observer>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = if observer.metrics.is_some() {
        span(&request, route.as_ref(), &id)
    } else {
        tracing::info_span!(target: UNTRACED, "request", request_id = id.as_str())
    };
    if let Some(trace) = propagation::extract(request.headers()) {
        propagation::set_parent(&span, &trace);
    }
    request.extensions_mut().insert(id.clone());
    let arrival = Arrival::follow(&mut request, observer.body_idle);
    let tally = Tally::begin(&observer, request.method().clone(), route, arrival);
    let response = next.run(request).instrument(span.clone()).await;
    let response = finish(response, &id);
    record(&span, response.status());
    span.in_scope(|| tally.end(response.status()));
    response
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
    )
}

fn record(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", number(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Counts one request, even one whose client goes away before it is answered.
struct Tally {
    metrics: Option<HttpMetrics>,
    method: Method,
    route: Option<MatchedPath>,
    began: Instant,
    arrival: Arrival,
    status: StatusCode,
}

impl Tally {
    fn begin(observer: &Observer, method: Method, route: Option<MatchedPath>, arrival: Arrival) -> Self {
        if let Some(metrics) = &observer.metrics {
            metrics.begin();
        }
        Self {
            metrics: observer.metrics.clone(),
            method,
            route,
            began: Instant::now(),
            arrival,
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    fn end(mut self, status: StatusCode) {
        self.status = status;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let millis = took.as_secs_f64() * 1_000.0;
        tracing::debug!(target: "kennel_http::access", status = self.status.as_u16(), millis, "request answered");
        if let Some(metrics) = &self.metrics {
            let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
            metrics.end(&self.method, route, self.status, took.saturating_sub(self.arrival.waited()));
        }
    }
}

/// Makes a problem of every error, and adds the headers that every response has.
fn finish(response: Response, id: &RequestId) -> Response {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let mut response = if failed { with_problem(response, id) } else { response };
    let headers = response.headers_mut();
    if let Some(value) = id.header_value() {
        headers.insert(request_id::HEADER, value);
    }
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn with_problem(mut response: Response, id: &RequestId) -> Response {
    let known = response.extensions_mut().remove::<Arc<Problem>>();
    if known.is_none() && (is_problem(response.headers()) || response.extensions().get::<Verbatim>().is_some()) {
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
