//! The backends and the health of the service.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use kennel_http::openapi::problems::Failures;
use kennel_http::status::HealthResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiContext, BackendNames};

/// The backends and the health of the service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusResponse {
    #[serde(flatten)]
    health: HealthResponse,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    backends: BackendNames,
    /// The URL of its metrics, if configured.
    #[schema(format = "uri", required = true, example = "http://localhost:9090/metrics")]
    metrics_url: Option<String>,
    /// The URL of Grafana, if configured.
    #[schema(format = "uri", required = true, example = "http://localhost:3000")]
    grafana_url: Option<String>,
    /// The maximum size of an image, in bytes.
    #[schema(example = 10_485_760)]
    max_image_bytes: u64,
}

/// Get the status of the service
///
/// For people and dashboards: the response is 200 even when the service is not ready. Load balancers use `/ready`.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "service", operation_id = "getStatus",
    responses((status = 200, description = "The status of the service.", body = StatusResponse), Failures),
)]
pub(super) async fn status(State(context): State<Arc<ApiContext>>) -> impl IntoResponse {
    let body = StatusResponse {
        health: HealthResponse::of(&context.api.health).await,
        version: env!("CARGO_PKG_VERSION"),
        backends: context.api.backends,
        metrics_url: context.api.metrics_url.clone(),
        grafana_url: context.api.grafana_url.clone(),
        max_image_bytes: context.api.service.max_picture_bytes(),
    };
    ([(CACHE_CONTROL, "no-store")], axum::Json(body))
}
