//! Routes for operators: health, metrics, version and profiles. Meant for a port of their own.

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

pub use self::dependencies::register_dependencies;
use crate::stack::{Observer, Verbatim, catch_panics};

/// What the routes tell of.
#[derive(Debug, Clone)]
pub struct Sys {
    /// Readiness and what it depends on.
    pub health: Health,
    /// The metrics of the process.
    pub registry: Registry,
    /// What is running.
    pub build: BuildInfo,
}

/// `/live`, `/ready`, `/metrics`, `/version` and `/debug/pprof/profile?seconds=N`, with request ids and problem
/// details but without metrics of their own.
pub fn router(sys: Sys) -> Router {
    let health = health(sys.health.clone());
    let routes = Router::new()
        .route("/metrics", get(scrape))
        .route("/version", get(version))
        .with_state(Arc::new(sys))
        .merge(profile::routes())
        .merge(health);
    Observer::default().apply(catch_panics(routes))
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
    fresh(StatusCode::OK, &Live { status: "live" })
}

/// 200 when the process takes work, otherwise 503; either way with the state of each dependency.
async fn ready(State(health): State<Health>) -> Response {
    let report = health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = fresh(status, &report);
    response.extensions_mut().insert(Verbatim);
    response
}

/// In the form that the scraper asks for.
async fn scrape(State(sys): State<Arc<Sys>>, headers: HeaderMap) -> Response {
    let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "accept")];
    (headers, format.encode(&sys.registry)).into_response()
}

async fn version(State(sys): State<Arc<Sys>>) -> Response {
    fresh(StatusCode::OK, &sys.build)
}

fn fresh(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
