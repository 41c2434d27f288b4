//! The health of a service as a document of its API, for people and dashboards.

use kennel_app::{Dependency, Health, Status};
use serde::Serialize;
use utoipa::ToSchema;

/// The health of a service. Load balancers use `/ready` instead.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthResponse {
    /// Whether the service is ready.
    ready: bool,
    /// Its dependencies.
    checks: Vec<CheckResponse>,
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
    status: Status,
    /// Whether the service is not ready while it is down.
    required: bool,
    /// The duration of the check, in milliseconds.
    latency_ms: u64,
    /// Why it is down, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "12 events pending, none published for 34 s")]
    detail: Option<String>,
}

impl HealthResponse {
    /// Checks every dependency, or returns the result of a recent check.
    pub async fn of(health: &Health) -> Self {
        let report = health.report().await;
        Self { ready: report.ready, checks: report.checks.into_iter().map(Into::into).collect() }
    }
}

impl From<Dependency> for CheckResponse {
    fn from(check: Dependency) -> Self {
        Self {
            name: check.name.into_owned(),
            status: check.status,
            required: check.required,
            latency_ms: check.latency_ms,
            detail: check.detail,
        }
    }
}
