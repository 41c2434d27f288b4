//! A server on a free port and a client for it.

use std::net::SocketAddr;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use axum::Router;
use kennel_app::{Component as _, Stop};
use kennel_core::BoxError;
use kennel_http::{HttpConfig, HttpMetrics, HttpServer};
use kennel_net::ServerTls;
use kennel_telemetry::{OtelConfig, Process, Telemetry, TelemetryConfig};
use prometheus::Registry;
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::task::JoinSet;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: Stop,
    running: JoinSet<Result<(), BoxError>>,
}

impl Server {
    pub(crate) async fn stacked(router: Router, config: &HttpConfig) -> Self {
        Self::start(kennel_http::stack(router, config, &metrics().0), config).await
    }

    pub(crate) async fn start(router: Router, config: &HttpConfig) -> Self {
        Self::with_tls(router, config, None).await
    }

    pub(crate) async fn with_tls(router: Router, config: &HttpConfig, tls: Option<ServerTls>) -> Self {
        let mut server = Box::new(HttpServer::new("http", config, router).with_tls(tls));
        let mut address = server.address();
        server.init().await.unwrap();
        let (addr, stop) = (address.bound().await.unwrap(), Stop::new());
        let running = JoinSet::from_iter([server.run(stop.clone())]);
        Self { addr, stop, running }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Stops gracefully; panics if that takes more than ten seconds.
    pub(crate) async fn stop(self) {
        self.stop.request();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.running.join_all()).await;
        for outcome in ended.unwrap() {
            outcome.unwrap();
        }
    }
}

pub(crate) fn config() -> HttpConfig {
    HttpConfig { server_port: 0, ..HttpConfig::default() }
}

pub(crate) fn metrics() -> (HttpMetrics, Registry) {
    let registry = Registry::new();
    (HttpMetrics::register(&registry).unwrap(), registry)
}

pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    reqwest::Client::builder().no_proxy()
}

pub(crate) fn client() -> reqwest::Client {
    client_builder().build().unwrap()
}

pub(crate) async fn get_text(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap().error_for_status().unwrap();
    response.text().await.unwrap()
}

/// Sends the request and expects problem details in the response.
pub(crate) async fn problem(request: RequestBuilder) -> (http::response::Parts, Value) {
    let response: http::Response<reqwest::Body> = request.send().await.unwrap().into();
    let (parts, body) = response.into_parts();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(parts.headers["content-type"], "application/problem+json", "{bytes:?}");
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["status"], parts.status.as_u16());
    assert!(body["title"].is_string() && body["type"] == "about:blank", "{body}");
    (parts, body)
}

/// Waits until `condition` is true; the timeout allows for a loaded machine.
pub(crate) async fn wait_until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

/// Enables tracing, so that spans have trace ids. Nothing is logged or exported.
pub(crate) fn enable_tracing() {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let config = TelemetryConfig { log_level: "off".to_owned(), ..TelemetryConfig::default() };
        kennel_telemetry::init(&config, &OtelConfig::default(), &Process::default()).unwrap()
    });
}
