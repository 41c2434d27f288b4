//! The HTTP API: routes, their documents and the gallery.

mod bodies;
mod breeds;
mod conditional;
mod dogs;
mod errors;
mod events;
mod gallery;
mod images;
mod import;
mod openapi;
mod status;
pub mod urls;
mod values;

use std::sync::Arc;

use dogs_domain::DogService;
use kennel_app::Health;
use kennel_core::IdSource;
use kennel_http::method::without_head;
use kennel_http::sse::EventStreams;
use kennel_http::{HttpConfig, HttpMetrics, Stack};
use kennel_outbox::EventFeed;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

pub use self::urls::DogUrls;

/// The dependencies of the API.
#[derive(Clone)]
pub struct ApiState {
    /// The domain service.
    pub service: DogService,
    /// The events.
    pub feed: EventFeed,
    /// Generates keys for imports without one.
    pub ids: Arc<dyn IdSource>,
    /// The base URL at which clients reach this API, such as `http://localhost:8080`.
    pub public_url: String,
    /// The URL of the metrics to show to clients, if any.
    pub metrics_url: Option<String>,
    /// The URL of Grafana to show to clients, if any.
    pub grafana_url: Option<String>,
    /// The names of the backends.
    pub backends: BackendNames,
    /// The health of the service.
    pub health: Health,
}

/// The names of the backends in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackendNames {
    /// The store of dogs.
    #[schema(example = "sqlite")]
    pub storage: &'static str,
    /// The broker of events.
    #[schema(example = "memory")]
    pub broker: &'static str,
    /// The cache of dogs.
    #[schema(example = "memory")]
    pub cache: &'static str,
    /// The object store of images.
    #[schema(example = "fs")]
    pub objects: &'static str,
}

/// The state that the handlers share.
struct ApiContext {
    api: ApiState,
    urls: DogUrls,
    streams: EventStreams,
    imports: Semaphore,
}

/// Routes without a limit on time and body size; they enforce their own limits.
pub const UNBOUNDED: [&str; 2] = ["/api/v1/dogs/import", "/api/v1/events"];

/// The complete HTTP service: the API, its documentation, the gallery and the probes, with all layers.
pub fn app(state: ApiState, config: &HttpConfig, metrics: &HttpMetrics) -> Result<axum::Router, serde_json::Error> {
    let probes = kennel_http::sys::health(state.health.clone());
    let (routes, description) = router(state);
    let routes = routes.merge(probes).merge(kennel_http::openapi::routes(&description)?);
    let unbounded = UNBOUNDED.into_iter().chain(["/live", "/ready"]);
    Ok(Stack::new(config, metrics).exempt(unbounded).apply(routes))
}

/// The routes of the API and the gallery, without layers, and their OpenAPI description.
pub fn router(state: ApiState) -> (axum::Router, OpenApi) {
    let context = ApiContext {
        urls: DogUrls::new(&state.public_url),
        api: state,
        streams: EventStreams::new(events::MAX_STREAMS),
        imports: Semaphore::new(import::MAX_IMPORTS),
    };
    let (router, description) = api().split_for_parts();
    (router.merge(gallery::routes()).with_state(Arc::new(context)), description)
}

/// The OpenAPI description of the API.
pub fn description() -> OpenApi {
    api().into_openapi()
}

fn api() -> OpenApiRouter<Arc<ApiContext>> {
    let mut router = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(dogs::fetch).map(without_head))
        .routes(routes!(dogs::fetch_sub).map(without_head))
        .routes(routes!(dogs::list, dogs::create))
        .routes(routes!(dogs::get, dogs::update, dogs::delete))
        .routes(routes!(images::get, images::put))
        .routes(routes!(import::import))
        .routes(routes!(breeds::breeds))
        .routes(routes!(events::events))
        .routes(routes!(status::status));
    kennel_http::openapi::allow_empty_queries(router.get_openapi_mut());
    router
}
