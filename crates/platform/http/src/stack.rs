//! The layers around a service's routes, in the same order for every service.
//!
//! From the outermost to the innermost: request id, span, metrics and problem details; CORS; panics; load shedding and
//! timeout; who may call the route; the body limit; decompression of requests and compression of responses.

mod access;
mod body_timing;
mod coding;
mod load_shed;
mod panics;
mod request_telemetry;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::header::{CONTENT_TYPE, ETAG, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use kennel_net::{AccessCheck, request_id};
use tower::ServiceBuilder;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use self::access::AccessLayer;
use self::coding::CodingLayer;
use self::load_shed::{Limits, LoadShedLayer};
pub(crate) use self::panics::CatchPanicsLayer;
pub(crate) use self::request_telemetry::{RequestTelemetry, finish};
use crate::config::HttpConfig;
use crate::metrics::HttpMetrics;

/// How long a browser may cache a CORS preflight.
const CORS_MAX_AGE: Duration = Duration::from_hours(1);

/// Extension of an error response (status 400 or more) whose body must not be replaced by problem details.
#[derive(Debug, Clone, Copy)]
pub struct SkipProblemDetails;

/// Builds the layers and applies them to a router.
#[derive(Clone)]
pub struct Stack {
    config: HttpConfig,
    metrics: HttpMetrics,
    exempt: HashSet<&'static str>,
    access: Option<Arc<dyn AccessCheck>>,
}

/// Applies every layer to `router`; no route is exempt from any.
pub fn stack(router: Router, config: &HttpConfig, metrics: &HttpMetrics) -> Router {
    Stack::new(config, metrics).apply(router)
}

impl Stack {
    /// Creates layers that exempt no route, and let everyone call every route.
    pub fn new(config: &HttpConfig, metrics: &HttpMetrics) -> Self {
        Self { config: config.clone(), metrics: metrics.clone(), exempt: HashSet::new(), access: None }
    }

    /// Asks `check`, if there is one, who may call a route.
    #[must_use]
    pub fn with_access(mut self, check: Option<Arc<dyn AccessCheck>>) -> Self {
        self.access = check;
        self
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
        let limits = Limits::new(&self.config, self.exempt);
        // One call of `layer`: each one would put every request and its future into another box.
        let layers = ServiceBuilder::new()
            .layer(RequestTelemetry::with_metrics(self.metrics, self.config.body_idle_timeout.get()))
            .option_layer(cors(&self.config.cors_origins))
            .layer(CatchPanicsLayer)
            .layer(LoadShedLayer(Arc::new(limits)))
            .option_layer(self.access.map(AccessLayer))
            .layer(DefaultBodyLimit::max(self.config.body_limit.as_usize()))
            .layer(CodingLayer);
        router.layer(layers)
    }
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
