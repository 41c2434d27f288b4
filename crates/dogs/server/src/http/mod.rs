//! The HTTP API: routes, their documents and the gallery.

mod bodies;
mod breeds;
mod conditional;
mod dogs;
mod errors;
mod events;
pub(crate) mod gallery;
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
use kennel_outbox::EventFeed;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
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
pub struct ApiContext {
    api: ApiState,
    urls: DogUrls,
    streams: EventStreams,
    imports: Semaphore,
}

/// Routes without a limit on time and body size; they enforce their own limits.
pub(crate) const UNBOUNDED: [&str; 2] = ["/api/v1/dogs/import", "/api/v1/events"];

impl ApiContext {
    /// The state of a service with these dependencies.
    pub fn new(api: ApiState) -> Self {
        Self {
            urls: DogUrls::new(&api.public_url),
            api,
            streams: EventStreams::new(events::MAX_STREAMS),
            imports: Semaphore::new(import::MAX_IMPORTS),
        }
    }
}

/// The routes of the API, with their descriptions, and the gallery.
pub(crate) fn routes() -> OpenApiRouter<Arc<ApiContext>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(dogs::fetch).map(without_head))
        .routes(routes!(dogs::fetch_sub).map(without_head))
        .routes(routes!(dogs::list, dogs::create))
        .routes(routes!(dogs::get, dogs::update, dogs::delete))
        .routes(routes!(images::get, images::put))
        .routes(routes!(import::import))
        .routes(routes!(breeds::breeds))
        .routes(routes!(events::events))
        .routes(routes!(status::status))
        .merge(gallery::GALLERY.routes().into())
}
