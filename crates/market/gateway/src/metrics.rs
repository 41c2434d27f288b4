//! Metrics of the gateway, in addition to those that every server has.

use std::time::Duration;

use kennel_telemetry::metrics::LatencyHistogram;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Metrics of the gateway. Clones update the same series.
#[derive(Debug, Clone)]
pub(crate) struct GatewayMetrics {
    refused: IntCounterVec,
    rate_limit: IntCounterVec,
    rate_limit_local: IntCounter,
    retries: IntCounterVec,
    circuit_open: IntGaugeVec,
    coalesced: IntCounterVec,
    streams: IntGaugeVec,
    upstream: LatencyHistogram,
}

/// A kind of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Sse,
    Grpc,
    WebSocket,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Ok,
    Failed,
    Timeout,
}

/// Counts an open stream until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(IntGauge);

impl GatewayMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let rate_limit_local =
            IntCounter::new("gateway_rate_limit_local_total", "Rate limits that were decided without shared counters")?;
        registry.register(Box::new(rate_limit_local.clone()))?;
        Ok(Self {
            refused: counter("gateway_refused_total", "Requests that the gateway refused", &["route", "reason"])?,
            rate_limit: counter("gateway_rate_limit_total", "Decisions of rate limits", &["policy", "outcome"])?,
            rate_limit_local,
            retries: counter("gateway_retries_total", "Requests that were sent again", &["upstream"])?,
            circuit_open: gauge("gateway_circuit_open", "1 while requests are refused at once", &["upstream"])?,
            coalesced: counter("gateway_coalesced_total", "Requests that got the response of another", &["route"])?,
            streams: gauge("gateway_streams", "Open streams", &["kind"])?,
            upstream: LatencyHistogram::register(
                registry,
                "gateway_upstream_seconds",
                "Time until the response of an upstream starts",
                &["upstream", "outcome"],
            )?,
        })
    }

    pub(crate) fn refused(&self, route: &str, reason: &str) {
        self.refused.with_label_values(&[route, reason]).inc();
    }

    pub(crate) fn rate_limited(&self, policy: &str, is_allowed: bool) {
        let outcome = if is_allowed { "allowed" } else { "limited" };
        self.rate_limit.with_label_values(&[policy, outcome]).inc();
    }

    pub(crate) fn rate_limit_local(&self) {
        self.rate_limit_local.inc();
    }

    pub(crate) fn retry(&self, upstream: &str) {
        self.retries.with_label_values(&[upstream]).inc();
    }

    pub(crate) fn circuit(&self, upstream: &str, is_open: bool) {
        self.circuit_open.with_label_values(&[upstream]).set(i64::from(is_open));
    }

    pub(crate) fn coalesced(&self, route: &str) {
        self.coalesced.with_label_values(&[route]).inc();
    }

    pub(crate) fn open_stream(&self, kind: StreamKind) -> OpenStream {
        let kind = match kind {
            StreamKind::Sse => "sse",
            StreamKind::Grpc => "grpc",
            StreamKind::WebSocket => "websocket",
        };
        let open = OpenStream(self.streams.with_label_values(&[kind]));
        open.0.inc();
        open
    }

    pub(crate) fn attempt(&self, upstream: &str, outcome: Attempt, took: Duration) {
        let outcome = match outcome {
            Attempt::Ok => "ok",
            Attempt::Failed => "failed",
            Attempt::Timeout => "timeout",
        };
        self.upstream.observe(&[upstream, outcome], took);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned() {
        let registry = Registry::new();
        let metrics = GatewayMetrics::register(&registry).unwrap();
        metrics.refused("candles", "rate_limited");
        metrics.rate_limited("public", false);
        metrics.rate_limit_local();
        metrics.retry("analytics");
        metrics.circuit("analytics", true);
        metrics.coalesced("candles");
        metrics.attempt("analytics", Attempt::Timeout, Duration::from_millis(1));
        drop(metrics.open_stream(StreamKind::Sse));
        let _open = metrics.open_stream(StreamKind::WebSocket);
        let text = kennel_telemetry::metrics::encode(&registry);
        for line in [
            r#"gateway_refused_total{reason="rate_limited",route="candles"} 1"#,
            r#"gateway_rate_limit_total{outcome="limited",policy="public"} 1"#,
            "gateway_rate_limit_local_total 1",
            r#"gateway_retries_total{upstream="analytics"} 1"#,
            r#"gateway_circuit_open{upstream="analytics"} 1"#,
            r#"gateway_coalesced_total{route="candles"} 1"#,
            r#"gateway_streams{kind="sse"} 0"#,
            r#"gateway_streams{kind="websocket"} 1"#,
            r#"gateway_upstream_seconds_count{outcome="timeout",upstream="analytics"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
