//! Metrics of authentication.

use kennel_telemetry::metrics::{Label as _, Outcome, names};
use prometheus::{IntCounterVec, Opts, Registry};

use crate::refusal::Refusal;

/// Value of the label `reason` for a caller without the scope that an operation needs.
const MISSING_SCOPE: &str = "missing_scope";
/// Value of the label `reason` while the keys of the issuer are unavailable.
const UNAVAILABLE: &str = "unavailable";

/// Metrics of a service's callers. Clones update the same series.
#[derive(Debug, Clone)]
pub struct AuthMetrics {
    refused: IntCounterVec,
    key_reads: IntCounterVec,
}

impl AuthMetrics {
    /// Registers `auth_refused_total{reason}` and `auth_key_reads_total{outcome}`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = Opts::new(names::AUTH_REFUSED, "Requests refused before their handler, by reason");
        let key_reads = Opts::new(names::AUTH_KEY_READS, "Reads of the issuer's keys");
        let metrics = Self {
            refused: IntCounterVec::new(refused, &["reason"])?,
            key_reads: IntCounterVec::new(key_reads, &["outcome"])?,
        };
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.key_reads.clone()))?;
        // From 0, so that an increase to 1 is seen.
        for outcome in [Outcome::Ok, Outcome::Error] {
            metrics.key_reads.with_label_values(&[outcome.as_str()]);
        }
        Ok(metrics)
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused.with_label_values(&[refusal.as_str()]).inc();
    }

    pub(crate) fn missing_scope(&self) {
        self.refused.with_label_values(&[MISSING_SCOPE]).inc();
    }

    pub(crate) fn unavailable(&self) {
        self.refused.with_label_values(&[UNAVAILABLE]).inc();
    }

    pub(crate) fn keys_read(&self, outcome: Outcome) {
        self.key_reads.with_label_values(&[outcome.as_str()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned() {
        let registry = Registry::new();
        let metrics = AuthMetrics::register(&registry).unwrap();
        metrics.refused(Refusal::Expired);
        metrics.missing_scope();
        metrics.unavailable();
        metrics.keys_read(Outcome::Ok);
        let text = kennel_telemetry::metrics::encode(&registry);
        for line in [
            r#"auth_refused_total{reason="expired"} 1"#,
            r#"auth_refused_total{reason="missing_scope"} 1"#,
            r#"auth_refused_total{reason="unavailable"} 1"#,
            r#"auth_key_reads_total{outcome="ok"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
