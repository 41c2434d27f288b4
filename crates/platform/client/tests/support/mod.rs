//! An upstream on a free port.

use std::net::SocketAddr;
use std::sync::OnceLock;

use axum::Router;
use kennel_telemetry::{OtelConfig, Process, Telemetry, TelemetryConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) struct Server {
    address: SocketAddr,
    running: JoinSet<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, running: JoinSet::from_iter([axum::serve(listener, router).into_future()]) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn stop(mut self) {
        self.running.shutdown().await;
    }
}

/// Enables tracing, so that spans have trace ids. Nothing is logged or exported.
pub(crate) fn enable_tracing() {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let config = TelemetryConfig { log_level: "off".to_owned(), ..TelemetryConfig::default() };
        kennel_telemetry::init(&config, &OtelConfig::default(), &Process::default()).unwrap()
    });
}
