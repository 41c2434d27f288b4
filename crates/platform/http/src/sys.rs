//! Routes for operators: health, metrics, version and profiles. Serve them on a separate port.

mod dependencies;
mod profile;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};
use kennel_app::Health;
use kennel_telemetry::metrics::{BuildInfo, Format};
use prometheus::Registry;
use serde::Serialize;
use tower::ServiceBuilder;

pub use self::dependencies::register_dependencies;
use crate::stack::{CatchPanicsLayer, RequestTelemetry, SkipProblemDetails};

/// The state that the routes report.
#[derive(Debug, Clone)]
pub struct Sys {
    /// Readiness and the checks it depends on.
    pub health: Health,
    /// The metrics of the process, and of each of its services that has its own registry.
    pub registries: Vec<Registry>,
    /// Name and version of the running build.
    pub build: BuildInfo,
}

/// `/live`, `/ready`, `/metrics`, `/version` and `/debug/pprof/profile?seconds=N`, with request ids and problem
/// details, but without request metrics.
pub fn router(sys: Sys) -> Router {
    let health = health(sys.health.clone());
    let routes = Router::new()
        .route("/metrics", get(scrape))
        .route("/version", get(version))
        .with_state(Arc::new(sys))
        .merge(profile::routes())
        .merge(health);
    routes.layer(ServiceBuilder::new().layer(RequestTelemetry::default()).layer(CatchPanicsLayer))
}

/// `/live` and `/ready`, for a service's own router.
pub fn health(health: Health) -> Router {
    Router::new().route("/live", get(live)).route("/ready", get(ready)).with_state(health)
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

async fn live() -> Response {
    uncached_json(StatusCode::OK, &Live { status: "live" })
}

/// Answers 200 if the process is ready, otherwise 503; the body lists the state of each dependency.
async fn ready(State(health): State<Health>) -> Response {
    let report = health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = uncached_json(status, &report);
    response.extensions_mut().insert(SkipProblemDetails);
    response
}

/// Encodes the metrics in the format that the scraper accepts.
async fn scrape(State(sys): State<Arc<Sys>>, headers: HeaderMap) -> Response {
    let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "accept")];
    (headers, format.encode(&sys.registries)).into_response()
}

async fn version(State(sys): State<Arc<Sys>>) -> Response {
    uncached_json(StatusCode::OK, &sys.build)
}

fn uncached_json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
