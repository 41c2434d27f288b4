//! The backends and the health of the service.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::Failures;
use super::{ApiContext, BackendNames};

/// The backends and the health of the service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusResponse {
    /// Whether the service is ready.
    ready: bool,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    backends: BackendNames,
    /// Its dependencies.
    checks: Vec<CheckResponse>,
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

/// The state of one dependency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckResponse {
    /// Its name.
    #[schema(example = "storage")]
    name: String,
    /// `up` or `down`.
    #[schema(value_type = String, example = "up")]
    status: kennel_app::Status,
    /// Whether the service is not ready while it is down.
    required: bool,
    /// The duration of the check, in milliseconds.
    latency_ms: u64,
    /// Why it is down, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "12 events pending, none published for 34 s")]
    detail: Option<String>,
}

/// Get the status of the service
///
/// For people and dashboards: the response is 200 even when the service is not ready. Load balancers use `/ready`.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "service", operation_id = "getStatus",
    responses((status = 200, description = "The status of the service.", body = StatusResponse), Failures),
)]
pub(super) async fn status(State(context): State<Arc<ApiContext>>) -> impl IntoResponse {
    let report = context.api.health.report().await;
    let checks = report.checks.into_iter().map(|check| CheckResponse {
        name: check.name.into_owned(),
        status: check.status,
        required: check.required,
        latency_ms: check.latency_ms,
        detail: check.detail,
    });
    let body = StatusResponse {
        ready: report.ready,
        version: env!("CARGO_PKG_VERSION"),
        backends: context.api.backends,
        checks: checks.collect(),
        metrics_url: context.api.metrics_url.clone(),
        grafana_url: context.api.grafana_url.clone(),
        max_image_bytes: context.api.service.max_picture_bytes(),
    };
    ([(CACHE_CONTROL, "no-store")], axum::Json(body))
}
