//! Rate, errors and duration of requests.

use std::time::Duration;

use http::{Method, StatusCode};
use kennel_telemetry::metrics::{LatencyHistogram, names};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Metrics of a server. Clones update the same series.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    duration: LatencyHistogram,
    in_flight: IntGauge,
}

impl HttpMetrics {
    /// Registers `http_requests_total{method,route,status}`, `http_request_duration_seconds{method,route}` and
    /// `http_requests_in_flight`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let total = Opts::new(names::HTTP_REQUESTS, "Completed requests");
        let metrics = Self {
            requests: IntCounterVec::new(total, &["method", "route", "status"])?,
            duration: LatencyHistogram::register(
                registry,
                names::HTTP_DURATION,
                "Time until the response starts, without the time the client takes to send the request",
                &["method", "route"],
            )?,
            in_flight: IntGauge::new(names::HTTP_IN_FLIGHT, "Requests whose response has not started")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    /// Counts a request that has begun; [`HttpMetrics::stop`] must follow.
    pub fn start(&self) {
        self.in_flight.inc();
    }

    /// Counts a completed request. `route` is the route's template, not its path, so that the cardinality is bounded.
    pub fn stop(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        self.in_flight.dec();
        let method = method_label(method);
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.duration.observe(&[method, route], elapsed);
    }
}

/// The method, or `other` for a method that is not standard.
pub fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
