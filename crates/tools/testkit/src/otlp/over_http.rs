//! OTLP over HTTP with protobuf bodies.

use std::convert::Infallible;
use std::io::Read as _;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::CollectorService;

/// Serves requests until it is dropped.
pub(super) async fn serve(listener: TcpListener, service: CollectorService) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            let handler = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(respond(&service, request).await) }
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await.ok();
        });
    }
}

async fn respond(service: &CollectorService, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let status = receive(service, request).await.map_or(StatusCode::BAD_REQUEST, |()| StatusCode::OK);
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Returns `None` for an invalid request.
async fn receive(service: &CollectorService, request: Request<Incoming>) -> Option<()> {
    let (parts, body) = request.into_parts();
    let protobuf = parts.headers.get("content-type")? == "application/x-protobuf";
    let mut message = protobuf.then_some(body.collect().await.ok()?.to_bytes().to_vec())?;
    if parts.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let compressed = std::mem::take(&mut message);
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut message).ok()?;
    }
    match parts.uri.path() {
        "/v1/traces" => service.spans(parts.headers, ExportTraceServiceRequest::decode(&message[..]).ok()?),
        "/v1/logs" => service.lines(parts.headers, ExportLogsServiceRequest::decode(&message[..]).ok()?),
        _ => return None,
    }
    Some(())
}
