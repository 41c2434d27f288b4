//! The layers around a service's routes, in one order for every service.
//!
//! From the outside in: request id, span, metrics and problem details; CORS; panics; load shedding and timeout;
//! the limit on bodies; compression, of bodies both ways.

mod arrival;
mod guard;
mod observe;

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method};
use kennel_core::ErrorKind;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

pub(crate) use self::observe::Observer;
use crate::config::HttpConfig;
use crate::metrics::HttpMetrics;
use crate::problem::HttpError;
use crate::request_id;

/// How long a browser may remember what CORS allows.
const CORS_MAX_AGE: Duration = Duration::from_hours(1);

/// Marks a response whose status is 400 or more and whose body is to stay as it is.
#[derive(Debug, Clone, Copy)]
pub struct Verbatim;

/// The layers, before they are put around a router.
#[derive(Debug, Clone)]
pub struct Stack {
    config: HttpConfig,
    metrics: HttpMetrics,
    exempt: HashSet<&'static str>,
}

/// Puts every layer around `router`; no route is exempt from any.
pub fn stack(router: Router, config: &HttpConfig, metrics: &HttpMetrics) -> Router {
    Stack::new(config, metrics).apply(router)
}

impl Stack {
    /// Layers that bound every route alike.
    pub fn new(config: &HttpConfig, metrics: &HttpMetrics) -> Self {
        Self { config: config.clone(), metrics: metrics.clone(), exempt: HashSet::new() }
    }

    /// Frees routes, named by their templates, from the timeout and from load shedding: streams, and probes.
    #[must_use]
    pub fn exempt(mut self, routes: impl IntoIterator<Item = &'static str>) -> Self {
        self.exempt.extend(routes);
        self
    }

    /// Puts the layers around the routes that `router` has by now.
    ///
    /// The limit on bodies holds for extractors that buffer them; a route takes another one by a
    /// [`DefaultBodyLimit`] of its own, and a handler of the raw body sees to its limit itself.
    pub fn apply(self, router: Router) -> Router {
        let guard = guard::Guard::new(&self.config, self.exempt);
        let router = router
            .layer(CompressionLayer::new())
            // Other encodings are refused with 415. Limits count what comes out, so a small body cannot grow past them.
            .layer(RequestDecompressionLayer::new().no_br().no_deflate().no_zstd())
            .layer(DefaultBodyLimit::max(self.config.body_limit))
            .layer(from_fn_with_state(Arc::new(guard), guard::guard));
        let router = catch_panics(router);
        let router = match cors(&self.config.cors_origins) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        Observer::with_metrics(self.metrics, self.config.body_idle_timeout()).apply(router)
    }
}

/// Turns a panic into a problem with status 500.
pub(crate) fn catch_panics(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(panicked))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
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
    let exposed = [CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER, request_id::HEADER].into_iter().chain(idempotency);
    let exposed: Vec<HeaderName> = exposed.collect();
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(CORS_MAX_AGE);
    Some(layer)
}
