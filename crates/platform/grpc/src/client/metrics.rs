//! Metrics of the calls that a client makes.

use std::sync::Arc;

use kennel_telemetry::metrics::{Label, LatencyHistogram, names};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use tonic::Code;

use super::addresses::AddressState;
use crate::methods::Method;
use crate::metrics::code_name;

/// Counts and times calls of every client of the process. Clones update the same series. Labels are names of clients and
/// methods of descriptors, never input.
#[derive(Debug, Clone)]
pub struct GrpcClientMetrics {
    handled: IntCounterVec,
    duration: LatencyHistogram,
    in_flight: IntGaugeVec,
    retries: IntCounterVec,
    addresses: IntGaugeVec,
}

impl GrpcClientMetrics {
    /// Registers the metrics. Fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let method = &["upstream", "service", "method"];
        let metrics = Self {
            handled: IntCounterVec::new(
                Opts::new(names::GRPC_CLIENT_HANDLED, "Completed calls to other services by status code"),
                &["upstream", "service", "method", "code"],
            )?,
            duration: LatencyHistogram::register(
                registry,
                names::GRPC_CLIENT_DURATION,
                "Time from a call's start to its end, including retries, by type of method",
                &["upstream", "service", "method", "type"],
            )?,
            in_flight: IntGaugeVec::new(Opts::new(names::GRPC_CLIENT_IN_FLIGHT, "Calls in flight"), method)?,
            retries: IntCounterVec::new(Opts::new(names::GRPC_CLIENT_RETRIES, "Attempts after the first one"), method)?,
            addresses: IntGaugeVec::new(
                Opts::new(names::GRPC_CLIENT_ADDRESSES, "Addresses of a server by their state"),
                &["upstream", "state"],
            )?,
        };
        registry.register(Box::new(metrics.handled.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.addresses.clone()))?;
        Ok(metrics)
    }

    /// The gauges of one client.
    pub(crate) fn addresses(&self, upstream: &'static str) -> AddressGauges {
        AddressGauges { upstream, gauge: self.addresses.clone() }
    }

    /// Starts the timer of a call.
    pub(crate) fn start(&self, upstream: &'static str, method: Arc<Method>) -> ClientTimer {
        self.in_flight.with_label_values(&[upstream, &method.service, &method.name]).inc();
        ClientTimer { metrics: self.clone(), upstream, method, started: Instant::now() }
    }
}

/// Timer of a call in flight.
pub(crate) struct ClientTimer {
    metrics: GrpcClientMetrics,
    upstream: &'static str,
    method: Arc<Method>,
    started: Instant,
}

impl ClientTimer {
    fn labels(&self) -> [&str; 3] {
        [self.upstream, &self.method.service, &self.method.name]
    }

    /// Counts a retry.
    pub(crate) fn retry(&self) {
        self.metrics.retries.with_label_values(&self.labels()).inc();
    }

    /// Records that the call ended with `code`.
    pub(crate) fn stop(&self, code: Code) {
        let [upstream, service, method] = self.labels();
        self.metrics.in_flight.with_label_values(&self.labels()).dec();
        self.metrics.duration.observe(&[upstream, service, method, self.method.kind()], self.started.elapsed());
        self.metrics.handled.with_label_values(&[upstream, service, method, code_name(code)]).inc();
    }
}

/// The number of addresses in each state.
#[derive(Debug, Clone)]
pub(crate) struct AddressGauges {
    upstream: &'static str,
    gauge: IntGaugeVec,
}

impl AddressGauges {
    pub(crate) fn set(&self, counts: [(AddressState, usize); 4]) {
        for (state, count) in counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.gauge.with_label_values(&[self.upstream, state.as_str()]).set(count);
        }
    }

    #[cfg(test)]
    pub(crate) fn unregistered() -> Self {
        GrpcClientMetrics::register(&Registry::new()).unwrap().addresses("test")
    }
}

impl Label for AddressState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Serving => "serving",
            Self::NotServing => "not_serving",
            Self::Unreachable => "unreachable",
        }
    }
}
