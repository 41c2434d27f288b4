//! The layers around a service's routes, in the same order for every service.
//!
//! From the outermost to the innermost: request id, span, metrics and problem details; CORS; panics; load shedding and
//! timeout; the body limit; decompression of requests and compression of responses.

mod body_timing;
mod load_shed;
mod request_telemetry;

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use kennel_core::ErrorKind;
use kennel_net::request_id;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

pub(crate) use self::request_telemetry::RequestTelemetry;
use crate::config::HttpConfig;
use crate::metrics::HttpMetrics;
use crate::problem::HttpError;

/// How long a browser may cache a CORS preflight.
const CORS_MAX_AGE: Duration = Duration::from_hours(1);

/// Extension of an error response (status 400 or more) whose body must not be replaced by problem details.
#[derive(Debug, Clone, Copy)]
pub struct SkipProblemDetails;

/// Builds the layers and applies them to a router.
#[derive(Debug, Clone)]
pub struct Stack {
    config: HttpConfig,
    metrics: HttpMetrics,
    exempt: HashSet<&'static str>,
}

/// Applies every layer to `router`; no route is exempt from any.
pub fn stack(router: Router, config: &HttpConfig, metrics: &HttpMetrics) -> Router {
    Stack::new(config, metrics).apply(router)
}

impl Stack {
    /// Creates layers that exempt no route.
    pub fn new(config: &HttpConfig, metrics: &HttpMetrics) -> Self {
        Self { config: config.clone(), metrics: metrics.clone(), exempt: HashSet::new() }
    }

    /// Exempts routes, named by their templates, from the timeout and from load shedding: for streams and probes.
    #[must_use]
    pub fn exempt(mut self, routes: impl IntoIterator<Item = &'static str>) -> Self {
        self.exempt.extend(routes);
        self
    }

    /// Applies the layers to the routes that `router` has now; routes that are added later have no layers.
    ///
    /// The body limit applies to extractors that buffer the body. A route overrides it with its own
    /// [`DefaultBodyLimit`]; a handler that reads the raw body must enforce a limit itself.
    pub fn apply(self, router: Router) -> Router {
        let load_shed = load_shed::LoadShed::new(&self.config, self.exempt);
        let router = router
            .layer(CompressionLayer::new())
            // Other encodings are refused with 415. Limits count decompressed bytes, so that no body expands past them.
            .layer(RequestDecompressionLayer::new().no_br().no_deflate().no_zstd())
            .layer(MapRequestLayer::new(normalize_encoding))
            .layer(DefaultBodyLimit::max(self.config.body_limit.as_usize()))
            .layer(from_fn_with_state(Arc::new(load_shed), load_shed::load_shed));
        let router = catch_panics(router);
        let router = match cors(&self.config.cors_origins) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        RequestTelemetry::with_metrics(self.metrics, self.config.body_idle_timeout.get()).apply(router)
    }
}

/// Names of content codings are case-insensitive, and `x-gzip` is gzip (RFC 9110, section 8.4.1).
fn normalize_encoding(mut request: Request) -> Request {
    if let Some(encoding) = request.headers_mut().get_mut(CONTENT_ENCODING) {
        let name = encoding.as_bytes();
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            *encoding = HeaderValue::from_static("gzip");
        }
    }
    request
}

/// Turns a panic into a problem with status 500.
pub(crate) fn catch_panics(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(panicked))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer passes the panic by value")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    HttpError::new(ErrorKind::Internal)
        .with_source(format!("handler panicked: {}", text.as_deref().unwrap_or("no message")))
        .into_response()
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let idempotency = ["idempotency-key", "idempotency-replayed"].map(HeaderName::from_static);
    let standard = [CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, request_id::HEADER];
    let exposed: Vec<HeaderName> = standard.into_iter().chain(idempotency).collect();
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(CORS_MAX_AGE);
    Some(layer)
}
