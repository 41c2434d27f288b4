//! Spans reach a collector over real gRPC before `shutdown` returns. One test: a process has one subscriber.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::{Arc, Mutex};

use kennel_telemetry::{InitError, TelemetryConfig};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_flushed_to_the_collector() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = TelemetryConfig {
        service_name: "kennel-test".to_owned(),
        otlp_endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        log_level: "off".to_owned(),
        ..TelemetryConfig::default()
    };
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server);

    let telemetry = kennel_telemetry::init(&config).unwrap();
    assert!(matches!(kennel_telemetry::init(&config), Err(InitError::Twice(_))));
    tracing::info_span!("work", http.route = "/dogs").in_scope(|| tracing::info!("busy"));
    tracing::info_span!(target: kennel_telemetry::UNTRACED, "probe").in_scope(|| {});
    tracing::debug_span!("detail").in_scope(|| {});
    telemetry.shutdown().await;

    let requests = collector.0.lock().unwrap().clone();
    let resources: Vec<_> = requests.into_iter().flat_map(|request| request.resource_spans).collect();
    let service = resources[0].resource.as_ref().unwrap().attributes.iter();
    assert!(service.clone().any(|pair| pair.key == "service.name" && format!("{pair:?}").contains("kennel-test")));
    let spans: Vec<_> = resources.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["work"]);
    assert!(spans[0].attributes.iter().any(|pair| pair.key == "http.route"), "{:?}", spans[0]);
}
