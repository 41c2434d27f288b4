//! Metrics of the calls that a server handles.

use std::sync::Arc;

use kennel_telemetry::metrics::{Label, LatencyHistogram, SERVER_FAULT, names};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use tonic::Code;

use crate::methods::Method;

/// Who is at fault for the end of a call. Service-level objectives count only the server's faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody.
    None,
    /// The caller: an invalid request, an unknown method, or a deadline of the caller that was too short.
    Caller,
    /// The server.
    Server,
}

impl Fault {
    /// Who is at fault for `code`, if nothing else is known.
    pub(crate) const fn of(code: Code) -> Self {
        match code {
            Code::Ok => Self::None,
            // Overload is `RESOURCE_EXHAUSTED`, as it is 503 over HTTP.
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Server,
            _ => Self::Caller,
        }
    }
}

impl Label for Fault {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Caller => "caller",
            Self::Server => SERVER_FAULT,
        }
    }
}

/// Counts and times calls. Clones update the same series. Labels are methods of the server's descriptors, never input.
#[derive(Debug, Clone)]
pub struct GrpcMetrics {
    handled: IntCounterVec,
    duration: LatencyHistogram,
    in_flight: IntGaugeVec,
    connections: IntGauge,
}

impl GrpcMetrics {
    /// Registers the metrics. Fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let method = &["service", "method"];
        let handled =
            Opts::new(names::GRPC_HANDLED, "Completed calls, streams included, by status code and by who is at fault");
        let in_flight = Opts::new(names::GRPC_IN_FLIGHT, "Calls in flight");
        let metrics = Self {
            handled: IntCounterVec::new(handled, &["service", "method", "code", "fault"])?,
            duration: LatencyHistogram::register(
                registry,
                names::GRPC_DURATION,
                "Time from a call's start to its end, by type of method",
                &["service", "method", "type"],
            )?,
            in_flight: IntGaugeVec::new(in_flight, method)?,
            connections: IntGauge::new(names::GRPC_CONNECTIONS, "Open connections")?,
        };
        registry.register(Box::new(metrics.handled.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        Ok(metrics)
    }

    /// Starts the timer of a call.
    pub(crate) fn start(&self, method: Arc<Method>) -> CallTimer {
        self.in_flight.with_label_values(&[&method.service, &method.name]).inc();
        CallTimer { metrics: self.clone(), method, started: Instant::now() }
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }
}

/// Decrements the number of open connections when it is dropped.
pub(crate) struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Timer of a call in flight.
pub(crate) struct CallTimer {
    metrics: GrpcMetrics,
    method: Arc<Method>,
    started: Instant,
}

impl CallTimer {
    /// Records that the call ended with `code`, and who is at fault.
    pub(crate) fn stop(&self, code: Code, fault: Fault) {
        let labels = [self.method.service.as_str(), self.method.name.as_str()];
        self.metrics.in_flight.with_label_values(&labels).dec();
        let timed = [labels[0], labels[1], self.method.kind()];
        self.metrics.duration.observe(&timed, self.started.elapsed());
        let handled = [labels[0], labels[1], code_name(code), fault.as_str()];
        self.metrics.handled.with_label_values(&handled).inc();
    }
}

/// The name of a code in the gRPC specification.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned() {
        let registry = Registry::new();
        let metrics = GrpcMetrics::register(&registry).unwrap();
        let method = Method {
            service: "dogs.v1.DogService".to_owned(),
            name: "GetDog".to_owned(),
            client_streaming: false,
            server_streaming: false,
            idempotency: prost_types::method_options::IdempotencyLevel::default(),
        };
        metrics.start(Arc::new(method)).stop(Code::NotFound, Fault::of(Code::NotFound));
        let open = metrics.connection();
        let text = kennel_telemetry::metrics::encode(&registry);
        for line in [
            r#"grpc_server_handled_total{code="NOT_FOUND",fault="caller",method="GetDog",service="dogs.v1.DogService"} 1"#,
            r#"grpc_server_handling_seconds_count{method="GetDog",service="dogs.v1.DogService",type="unary"} 1"#,
            r#"grpc_server_in_flight{method="GetDog",service="dogs.v1.DogService"} 0"#,
            "grpc_server_connections 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(open);
        assert!(kennel_telemetry::metrics::encode(&registry).contains("grpc_server_connections 0"));
    }
}
