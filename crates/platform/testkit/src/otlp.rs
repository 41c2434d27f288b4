//! A collector: takes what a process exports by OTLP, over gRPC or HTTP, and shows it to the test.

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

/// Longer than a healthy process keeps a span to itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector on free ports of loopback. It goes away with the value.
pub struct Collector {
    grpc: SocketAddr,
    http: SocketAddr,
    received: Arc<Received>,
    _servers: JoinSet<()>,
}

/// What has arrived, in the order of its arrival.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Spans; one arrives when it has ended.
    pub spans: Vec<Span>,
    /// Log lines.
    pub lines: Vec<LogRecord>,
    /// The attributes of what sent a batch of spans or lines, for each batch.
    pub resources: Vec<Vec<KeyValue>>,
    /// The headers of each request.
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

    fn take(&self, telemetry: impl FnOnce(&mut Telemetry)) {
        telemetry(&mut self.lock());
        self.arrivals.send_replace(());
    }
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (over_grpc, over_http) = tokio::try_join!(bind(), bind()).expect("loopback has free ports");
        let address = |listener: &TcpListener| listener.local_addr().expect("a listener has an address");
        let (grpc, http) = (address(&over_grpc), address(&over_http));
        let received = Arc::new(Received::default());
        let service = Service(Arc::clone(&received));
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

    /// Where it is, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Where it is for `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// What has arrived so far.
    pub fn received(&self) -> Telemetry {
        self.received.lock().clone()
    }

    /// Looks at the spans each time that some arrive, until there is what `look` looks for.
    ///
    /// # Panics
    /// When that takes longer than a healthy process needs. The message lists the spans.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&[Span]) -> Option<T>) -> T {
        let mut arrivals = self.received.arrivals.subscribe();
        let found = async {
            loop {
                arrivals.mark_unchanged();
                if let Some(found) = look(&self.received.lock().spans) {
                    return found;
                }
                // The sender lives as long as this value.
                arrivals.changed().await.ok();
            }
        };
        let Ok(found) = timeout(PATIENCE, found).await else {
            panic!("not after {PATIENCE:?}: {what}; there are\n{}", Forest::of(&self.received().spans));
        };
        found
    }
}

#[derive(Clone)]
struct Service(Arc<Received>);

impl Service {
    fn spans(&self, headers: HeaderMap, message: ExportTraceServiceRequest) {
        self.0.take(|telemetry| {
            telemetry.headers.push(headers);
            for batch in message.resource_spans {
                telemetry.resources.push(batch.resource.unwrap_or_default().attributes);
                telemetry.spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        });
    }

    fn lines(&self, headers: HeaderMap, message: ExportLogsServiceRequest) {
        self.0.take(|telemetry| {
            telemetry.headers.push(headers);
            for batch in message.resource_logs {
                telemetry.resources.push(batch.resource.unwrap_or_default().attributes);
                telemetry.lines.extend(batch.scope_logs.into_iter().flat_map(|scope| scope.log_records));
            }
        });
    }
}

#[tonic::async_trait]
impl TraceService for Service {
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
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.lines(metadata.into_headers(), message);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// Metrics are scraped, not sent; whoever sends some is not held up.
#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
