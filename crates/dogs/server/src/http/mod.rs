//! The HTTP API: routes, their documents and the gallery.

mod breeds;
mod conditional;
mod documents;
mod dogs;
mod errors;
mod events;
mod gallery;
mod import;
pub mod links;
mod openapi;
mod photos;
mod problems;
mod range;
mod status;
mod values;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::routing::MethodRouter;
use dogs_domain::DogService;
use kennel_app::Health;
use kennel_core::IdSource;
use kennel_http::{HttpConfig, HttpMetrics, Stack};
use kennel_outbox::EventFeed;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

pub use self::links::Links;

/// What the API stands on.
#[derive(Clone)]
pub struct ApiState {
    /// Does the work.
    pub service: DogService,
    /// Tells what happens.
    pub feed: EventFeed,
    /// Names imports whose callers do not.
    pub ids: Arc<dyn IdSource>,
    /// Where callers reach this API, such as `http://localhost:8080`.
    pub public_url: String,
    /// Where callers find the metrics, if they are meant to.
    pub metrics_url: Option<String>,
    /// Where callers find Grafana, if they are meant to.
    pub grafana_url: Option<String>,
    /// What the service is put together from.
    pub parts: Parts,
    /// Whether the service is well.
    pub health: Health,
}

/// The adapters in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Parts {
    /// Keeps dogs.
    #[schema(example = "sqlite")]
    pub storage: &'static str,
    /// Carries events.
    #[schema(example = "memory")]
    pub broker: &'static str,
    /// Keeps answers.
    #[schema(example = "memory")]
    pub cache: &'static str,
    /// Keeps pictures.
    #[schema(example = "fs")]
    pub objects: &'static str,
}

/// What the handlers share.
struct Shared {
    api: ApiState,
    links: Links,
    streams: Arc<Semaphore>,
    imports: Semaphore,
}

/// Routes whose work or answer has no end in sight; they see to their limits themselves.
pub const UNBOUNDED: [&str; 2] = ["/api/v1/dogs/import", "/api/v1/events"];

/// The whole HTTP service: the API, its documentation, the gallery and the probes, with every layer around them.
pub fn app(state: ApiState, config: &HttpConfig, metrics: &HttpMetrics) -> Result<axum::Router, serde_json::Error> {
    let probes = kennel_http::sys::health(state.health.clone());
    let (routes, description) = router(state);
    let routes = routes.merge(probes).merge(kennel_http::openapi::routes(&description)?);
    let unbounded = UNBOUNDED.into_iter().chain(["/live", "/ready"]);
    Ok(Stack::new(config, metrics).exempt(unbounded).apply(routes))
}

/// The routes of the API and the gallery, without layers, and what describes them.
pub fn router(state: ApiState) -> (axum::Router, OpenApi) {
    let shared = Shared {
        links: Links::new(&state.public_url),
        api: state,
        streams: Arc::new(Semaphore::new(events::MAX_STREAMS)),
        imports: Semaphore::new(import::MAX_IMPORTS),
    };
    let (router, description) = api().split_for_parts();
    (router.merge(gallery::routes()).with_state(Arc::new(shared)), description)
}

/// What describes the API.
pub fn description() -> OpenApi {
    api().into_openapi()
}

fn api() -> OpenApiRouter<Arc<Shared>> {
    let mut router = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(dogs::fetch).map(without_head))
        .routes(routes!(dogs::fetch_sub).map(without_head))
        .routes(routes!(dogs::list, dogs::create))
        .routes(routes!(dogs::get, dogs::update, dogs::remove))
        .routes(routes!(photos::get, photos::put))
        .routes(routes!(import::import))
        .routes(routes!(breeds::breeds))
        .routes(routes!(events::events))
        .routes(routes!(status::status));
    kennel_http::openapi::allow_empty_queries(router.get_openapi_mut());
    router
}

/// Refuses HEAD, which would otherwise do the work of GET and throw its answer away.
fn without_head<S: Clone + Send + Sync + 'static>(routes: MethodRouter<S>) -> MethodRouter<S> {
    routes.head(async || (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]))
}
