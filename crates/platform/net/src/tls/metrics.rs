//! Metrics of TLS.

use kennel_telemetry::metrics::{Label, Outcome as ReloadOutcome, names};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Metrics of TLS. Clones update the same series.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    expiry: IntGauge,
    refused: IntGauge,
    reloads: IntCounterVec,
    handshakes: IntCounterVec,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The connection is established.
    Ok,
    /// The client closed the connection, or client and server did not agree.
    Failed,
    /// The client does not speak TLS.
    WithoutTls,
    /// The handshake took too long.
    Timeout,
}

impl Label for Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::WithoutTls => "without_tls",
            Self::Timeout => "timeout",
        }
    }
}

impl TlsMetrics {
    /// Registers `tls_certificate_expiry_timestamp_seconds`, `tls_certificate_refused`,
    /// `tls_certificate_reloads_total{outcome}` and `tls_handshakes_total{outcome}`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = Opts::new(names::TLS_RELOADS, "Changed certificates that were read");
        let handshakes = Opts::new(names::TLS_HANDSHAKES, "TLS handshakes");
        let metrics = Self {
            expiry: IntGauge::new(names::TLS_EXPIRY, "When the certificate expires, in seconds since 1970")?,
            refused: IntGauge::new(
                names::TLS_REFUSED,
                "Whether the files are refused, and an older certificate is used",
            )?,
            reloads: IntCounterVec::new(reloads, &["outcome"])?,
            handshakes: IntCounterVec::new(handshakes, &["outcome"])?,
        };
        for outcome in [ReloadOutcome::Ok, ReloadOutcome::Error] {
            metrics.reloads.with_label_values(&[outcome.as_str()]);
        }
        registry.register(Box::new(metrics.expiry.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.reloads.clone()))?;
        registry.register(Box::new(metrics.handshakes.clone()))?;
        Ok(metrics)
    }

    pub(super) fn set_expiry(&self, seconds: i64) {
        self.expiry.set(seconds);
    }

    pub(super) fn set_refused(&self, is_refused: bool) {
        self.refused.set(is_refused.into());
    }

    pub(super) fn reloaded(&self, is_valid: bool) {
        let outcome = if is_valid { ReloadOutcome::Ok } else { ReloadOutcome::Error };
        self.reloads.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn handshake(&self, outcome: Outcome) {
        self.handshakes.with_label_values(&[outcome.as_str()]).inc();
    }
}
