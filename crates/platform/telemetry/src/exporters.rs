//! Exporters of spans and log lines over OTLP, gRPC or HTTP.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Compression, LogExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use tokio::runtime::Handle;
use tonic::metadata::MetadataMap;

use crate::guard::InitError;
use crate::otel::{Otlp, Protocol};

/// Creates the span exporter.
pub(crate) fn spans(otlp: &Otlp) -> Result<SpanExporter, InitError> {
    let builder = SpanExporter::builder();
    Ok(match otlp.protocol {
        Protocol::Grpc => grpc(builder.with_tonic(), otlp).build()?,
        Protocol::HttpProtobuf => http(builder.with_http(), otlp)?.build()?,
    })
}

/// Creates the log exporter.
pub(crate) fn lines(otlp: &Otlp) -> Result<LogExporter, InitError> {
    let builder = LogExporter::builder();
    Ok(match otlp.protocol {
        Protocol::Grpc => grpc(builder.with_tonic(), otlp).build()?,
        Protocol::HttpProtobuf => http(builder.with_http(), otlp)?.build()?,
    })
}

fn grpc<B: WithExportConfig + WithTonicConfig>(builder: B, otlp: &Otlp) -> B {
    let headers = MetadataMap::from_headers(otlp.headers.clone());
    let builder = builder.with_endpoint(&otlp.endpoint).with_timeout(otlp.timeout).with_metadata(headers);
    if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder }
}

fn http<B: WithExportConfig + WithHttpConfig>(builder: B, otlp: &Otlp) -> Result<B, InitError> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers: HashMap<_, _> = otlp.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let builder = builder
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(&otlp.endpoint)
        .with_timeout(otlp.timeout)
        .with_headers(headers)
        .with_http_client(RuntimeHttpClient::new(otlp)?);
    Ok(if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder })
}

/// HTTP client that runs requests on the Tokio runtime, because the exporters' threads are outside of it.
#[derive(Debug)]
struct RuntimeHttpClient {
    client: reqwest::Client,
    runtime: Handle,
}

impl RuntimeHttpClient {
    fn new(otlp: &Otlp) -> Result<Self, InitError> {
        // Fails if another component has installed one already; either way there is one.
        rustls::crypto::ring::default_provider().install_default().ok();
        // No redirects: headers may contain a password, which must reach only the collector.
        let client = reqwest::Client::builder().timeout(otlp.timeout).redirect(reqwest::redirect::Policy::none());
        Ok(Self { client: client.build().map_err(InitError::HttpClient)?, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for RuntimeHttpClient {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
