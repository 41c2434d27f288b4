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
}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, ClientError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(ClientError::Status { status, .. }) if status.is_server_error() => Self::ServerError,
            Err(ClientError::Status { .. }) => Self::ClientError,
            Err(ClientError::Timeout) => Self::Timeout,
            Err(ClientError::Unavailable { .. }) => Self::Unavailable,
            Err(ClientError::Refused(_)) => Self::Refused,
            Err(ClientError::TooLarge { .. }) => Self::TooLarge,
            Err(ClientError::Malformed(_)) => Self::Malformed,
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
