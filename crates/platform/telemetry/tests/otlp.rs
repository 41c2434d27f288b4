//! Spans and log lines reach a collector over real gRPC before `shutdown` returns. One test: a process has one subscriber.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::{Arc, Mutex};

use kennel_telemetry::{InitError, TelemetryConfig};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    lines: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.lines.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.spans.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_lines_are_flushed_to_the_collector() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = TelemetryConfig {
        service_name: "kennel-test".to_owned(),
        otlp_endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        log_level: "warn".to_owned(),
        log_target: kennel_telemetry::LogTarget::Stderr,
        ..TelemetryConfig::default()
    };
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(LogsServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server);

    let telemetry = kennel_telemetry::init(&config).unwrap();
    assert!(matches!(kennel_telemetry::init(&config), Err(InitError::Twice(_))));
    let error = std::io::Error::other("disk on fire");
    tracing::info_span!("work", http.route = "/dogs").in_scope(|| {
        tracing::info!("busy");
        tracing::warn!(error = &error as &dyn std::error::Error, attempts = 3, "not done");
    });
    tracing::info_span!(target: kennel_telemetry::UNTRACED, "probe").in_scope(|| {});
    tracing::debug_span!("detail").in_scope(|| {});
    telemetry.shutdown().await;

    let requests = collector.spans.lock().unwrap().clone();
    let resources: Vec<_> = requests.into_iter().flat_map(|request| request.resource_spans).collect();
    let service = resources[0].resource.as_ref().unwrap().attributes.iter();
    assert!(service.clone().any(|pair| pair.key == "service.name" && format!("{pair:?}").contains("kennel-test")));
    let spans: Vec<_> = resources.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["work"]);
    assert!(spans[0].attributes.iter().any(|pair| pair.key == "http.route"), "{:?}", spans[0]);

    let requests = collector.lines.lock().unwrap().clone();
    let resources: Vec<_> = requests.into_iter().flat_map(|request| request.resource_logs).collect();
    assert!(format!("{:?}", resources[0].resource).contains("kennel-test"));
    let lines: Vec<_> = resources.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records).collect();
    assert_eq!(lines.len(), 1, "the level holds here as well: {lines:?}");
    assert_eq!((lines[0].severity_text.as_str(), lines[0].severity_number), ("WARN", 13));
    assert_eq!((&lines[0].trace_id, &lines[0].span_id), (&spans[0].trace_id, &spans[0].span_id));
    let body = format!("{:?}", lines[0].body);
    for part in ["not done", "disk on fire", "attempts", "/dogs"] {
        assert!(body.contains(part), "{part} in {body}");
    }
}
