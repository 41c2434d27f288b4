//! Duration and outcome of calls to upstreams.

use std::time::Duration;

use kennel_telemetry::metrics::{Label, LatencyHistogram, names};
use prometheus::Registry;

use crate::error::ClientError;

/// Outcome of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    ClientError,
    ServerError,
    Timeout,
    Unavailable,
    Refused,
    TooLarge,
    Malformed,
    RequestBody,
}

impl Outcome {
    pub(crate) fn of(error: &ClientError) -> Self {
        match error {
            ClientError::Status { status, .. } if status.is_server_error() => Self::ServerError,
            ClientError::Status { .. } => Self::ClientError,
            ClientError::Timeout => Self::Timeout,
            ClientError::Unavailable { .. } => Self::Unavailable,
            ClientError::Refused(_) => Self::Refused,
            ClientError::TooLarge { .. } => Self::TooLarge,
            ClientError::Malformed(_) => Self::Malformed,
            ClientError::RequestBody(_) => Self::RequestBody,
        }
    }
}

impl Label for Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::RequestBody => "request_body",
        }
    }
}

/// Metrics of every client of the process. Clones update the same series.
#[derive(Debug, Clone)]
pub struct ClientMetrics {
    duration: LatencyHistogram,
}

impl ClientMetrics {
    /// Registers `upstream_request_duration_seconds{upstream,outcome}`, with one observation per attempt.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let duration = LatencyHistogram::register(
            registry,
            names::UPSTREAM_DURATION,
            "Duration of one attempt to call an upstream",
            &["upstream", "outcome"],
        )?;
        Ok(Self { duration })
    }

    pub(crate) fn record(&self, upstream: &'static str, outcome: Outcome, elapsed: Duration) {
        self.duration.observe(&[upstream, outcome.as_str()], elapsed);
    }
}
