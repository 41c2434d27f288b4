//! What the service runs on, and whether it is well.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::Failures;
use super::{Parts, Shared};

/// What the service runs on, and whether it is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusDocument {
    /// Whether it takes work.
    ready: bool,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    parts: Parts,
    /// What it depends on.
    checks: Vec<CheckDocument>,
    /// Where its metrics are, when they are meant to be looked at from here.
    #[schema(format = "uri", required = true, example = "http://localhost:9090/metrics")]
    metrics_url: Option<String>,
    /// Where Grafana is, when it is meant to be looked at from here.
    #[schema(format = "uri", required = true, example = "http://localhost:3000")]
    grafana_url: Option<String>,
    /// The most bytes that a picture may have.
    #[schema(example = 10_485_760)]
    max_picture_bytes: u64,
}

/// The state of one dependency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckDocument {
    /// Its name.
    #[schema(example = "storage")]
    name: String,
    /// `up` or `down`.
    #[schema(value_type = String, example = "up")]
    status: kennel_app::Status,
    /// Whether the service is not ready while it is down.
    required: bool,
    /// How long it took to answer, in milliseconds.
    latency_ms: u64,
    /// What is wrong, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "12 events pending, none published for 34 s")]
    detail: Option<String>,
}

/// Tell how the service is
///
/// For people and dashboards: it answers 200 also when the service is not ready. Load balancers ask `/ready`.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "service", operation_id = "getStatus",
    responses((status = 200, description = "The state of the service.", body = StatusDocument), Failures),
)]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let report = shared.api.health.report().await;
    let checks = report.checks.into_iter().map(|check| CheckDocument {
        name: check.name.into_owned(),
        status: check.status,
        required: check.required,
        latency_ms: check.latency_ms,
        detail: check.detail,
    });
    let body = StatusDocument {
        ready: report.ready,
        version: env!("CARGO_PKG_VERSION"),
        parts: shared.api.parts,
        checks: checks.collect(),
        metrics_url: shared.api.metrics_url.clone(),
        grafana_url: shared.api.grafana_url.clone(),
        max_picture_bytes: shared.api.service.max_picture_bytes(),
    };
    ([(CACHE_CONTROL, "no-store")], axum::Json(body))
}
