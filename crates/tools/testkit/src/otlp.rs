//! A collector that receives OTLP over gRPC and HTTP, for tests of exporters.

mod over_http;
mod tree;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

pub use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
pub use opentelemetry_proto::tonic::logs::v1::LogRecord;
pub use opentelemetry_proto::tonic::trace::v1::Span;
pub use tree::{Forest, integer};

/// Timeout of an export; a healthy process exports sooner.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// A collector on free ports of loopback. It stops when the value is dropped.
pub struct Collector {
    grpc: SocketAddr,
    http: SocketAddr,
    received: Arc<Received>,
    _servers: JoinSet<()>,
}

/// Received telemetry, in the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Spans, which are exported after they end.
    pub spans: Vec<Span>,
    /// Log lines.
    pub lines: Vec<LogRecord>,
    /// Resource attributes of each batch of spans or lines.
    pub resources: Vec<Vec<KeyValue>>,
    /// Headers of each request.
    pub headers: Vec<HeaderMap>,
}

#[derive(Default)]
struct Received {
    telemetry: Mutex<Telemetry>,
    arrivals: watch::Sender<()>,
}

impl Received {
    fn lock(&self) -> MutexGuard<'_, Telemetry> {
        self.telemetry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, telemetry: impl FnOnce(&mut Telemetry)) {
        telemetry(&mut self.lock());
        self.arrivals.send_replace(());
    }
}

impl Collector {
    /// Starts a collector.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (over_grpc, over_http) = tokio::try_join!(bind(), bind()).expect("loopback has free ports");
        let address = |listener: &TcpListener| listener.local_addr().expect("a listener has an address");
        let (grpc, http) = (address(&over_grpc), address(&over_http));
        let received = Arc::new(Received::default());
        let service = CollectorService(Arc::clone(&received));
        let server = Server::builder()
            .add_service(TraceServiceServer::new(service.clone()).accept_compressed(CompressionEncoding::Gzip))
            .add_service(LogsServiceServer::new(service.clone()).accept_compressed(CompressionEncoding::Gzip))
            .add_service(MetricsServiceServer::new(service.clone()))
            .serve_with_incoming(TcpListenerStream::new(over_grpc));
        let mut servers = JoinSet::new();
        servers.spawn(async move { server.await.expect("the collector serves") });
        servers.spawn(over_http::serve(over_http, service));
        Self { grpc, http, received, _servers: servers }
    }

    /// Endpoint of gRPC, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Endpoint of HTTP, for `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Telemetry received so far.
    pub fn received(&self) -> Telemetry {
        self.received.lock().clone()
    }

    /// Waits until `find` returns a value for the received spans.
    ///
    /// # Panics
    /// If it times out. The message lists the spans.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(&[Span]) -> Option<T>) -> T {
        let mut arrivals = self.received.arrivals.subscribe();
        let found = async {
            loop {
                arrivals.mark_unchanged();
                if let Some(found) = find(&self.received.lock().spans) {
                    return found;
                }
                // The sender lives as long as this value.
                arrivals.changed().await.ok();
            }
        };
        let Ok(found) = timeout(EXPORT_TIMEOUT, found).await else {
            panic!("timed out after {EXPORT_TIMEOUT:?}: {what}; spans:\n{}", Forest::of(&self.received().spans));
        };
        found
    }
}

#[derive(Clone)]
struct CollectorService(Arc<Received>);

impl CollectorService {
    fn spans(&self, headers: HeaderMap, message: ExportTraceServiceRequest) {
        self.0.update(|telemetry| {
            telemetry.headers.push(headers);
            for batch in message.resource_spans {
                telemetry.resources.push(batch.resource.unwrap_or_default().attributes);
                telemetry.spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        });
    }

    fn lines(&self, headers: HeaderMap, message: ExportLogsServiceRequest) {
        self.0.update(|telemetry| {
            telemetry.headers.push(headers);
            for batch in message.resource_logs {
                telemetry.resources.push(batch.resource.unwrap_or_default().attributes);
                telemetry.lines.extend(batch.scope_logs.into_iter().flat_map(|scope| scope.log_records));
            }
        });
    }
}

#[tonic::async_trait]
impl TraceService for CollectorService {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.spans(metadata.into_headers(), message);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for CollectorService {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.lines(metadata.into_headers(), message);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// Metrics are scraped, not exported; an export of metrics is accepted and discarded.
#[tonic::async_trait]
impl MetricsService for CollectorService {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
