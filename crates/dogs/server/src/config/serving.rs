//! Settings of the process: listeners, limits, logs and traces.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use kennel_config::{ByteSize, HumanDuration, Problems, Section};
use kennel_grpc::GrpcConfig;
use kennel_http::HttpConfig;
use kennel_telemetry::{LogFormat, LogTarget, TelemetryConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::OtelSettings;

/// Listeners and limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerSettings {
    /// The address that all listeners bind to. The default is only reachable from this machine; containers set `0.0.0.0`.
    #[schemars(with = "String")]
    pub server_host: IpAddr,
    /// Port of HTTP; 0 selects any free port.
    pub server_port: u16,
    /// Port of gRPC; 0 selects any free port.
    pub grpc_port: u16,
    /// Port of metrics, health and profiles; 0 selects any free port. Do not expose it to public networks.
    pub prometheus_port: u16,
    /// The base URL at which clients reach HTTP, for links in responses; with the path prefix of a proxy. Unset:
    /// `http://localhost:<SERVER_PORT>`.
    pub public_url: Option<String>,
    /// The URL of the metrics, for the link in the gallery. Unset: `http://localhost:<PROMETHEUS_PORT>/metrics` if
    /// `SERVER_HOST` is a loopback address, else no link.
    pub metrics_url: Option<String>,
    /// The URL of Grafana, for the link in the gallery. Unset: no link.
    pub grafana_url: Option<String>,
    /// How long a request may take; over HTTP, counted from the last byte of its body.
    pub request_timeout: HumanDuration,
    /// How long a client may send no byte of an HTTP body before the response is 408. A slow client that sends is not limited.
    pub body_idle_timeout: HumanDuration,
    /// The maximum size of a request body, except for images and imports.
    pub body_limit: ByteSize,
    /// Maximum number of concurrent requests, separately for HTTP and gRPC; more are rejected.
    pub max_in_flight: u32,
    /// Allowed CORS origins, separated by commas; `*` allows all.
    pub cors_origins: Vec<String>,
    /// How long to continue serving after readiness has failed, so that load balancers notice it.
    pub drain_delay: HumanDuration,
    /// The deadline of a graceful shutdown.
    pub shutdown_deadline: HumanDuration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            server_host: Ipv4Addr::LOCALHOST.into(),
            server_port: 8080,
            grpc_port: 50051,
            prometheus_port: 9090,
            public_url: None,
            metrics_url: None,
            grafana_url: None,
            request_timeout: HumanDuration::from_secs(30),
            body_idle_timeout: HumanDuration::from_secs(30),
            body_limit: ByteSize(1024 * 1024),
            max_in_flight: 1_024,
            cors_origins: Vec::new(),
            drain_delay: HumanDuration::from_secs(0),
            shutdown_deadline: HumanDuration::from_secs(25),
        }
    }
}

impl Section for ServerSettings {
    const TITLE: &'static str = "Server";

    fn check(&self, problems: &mut Problems) {
        let links =
            [("public_url", &self.public_url), ("metrics_url", &self.metrics_url), ("grafana_url", &self.grafana_url)];
        for (key, link) in links {
            if link.as_deref().is_some_and(|text| !is_web_url(text)) {
                problems.add(key, WEB_URL);
            }
        }
        if self.public_url.as_deref().is_some_and(|text| text.contains(['?', '#'])) {
            problems.add("public_url", "must not have a query or a fragment: paths are appended to it");
        }
        for (field, reason) in self.http().problems() {
            let key = match field {
                "request_timeout_ms" => "request_timeout",
                "body_idle_timeout_ms" => "body_idle_timeout",
                other => other,
            };
            problems.add(key, reason);
        }
        if self.shutdown_deadline.get() <= self.drain_delay.get() {
            problems.add("shutdown_deadline", "must be longer than DRAIN_DELAY");
        }
    }
}

impl ServerSettings {
    /// The configuration of the HTTP server.
    pub fn http(&self) -> HttpConfig {
        HttpConfig {
            addr: SocketAddr::new(self.server_host, self.server_port),
            request_timeout_ms: u64::try_from(self.request_timeout.get().as_millis()).unwrap_or(u64::MAX),
            body_idle_timeout_ms: u64::try_from(self.body_idle_timeout.get().as_millis()).unwrap_or(u64::MAX),
            body_limit: self.body_limit.as_usize(),
            max_in_flight: self.max_in_flight as usize,
            cors_origins: self.cors_origins.clone(),
            ..HttpConfig::default()
        }
    }

    /// The configuration of the gRPC server.
    pub fn grpc(&self) -> GrpcConfig {
        GrpcConfig {
            addr: SocketAddr::new(self.server_host, self.grpc_port),
            domain: "dogs",
            timeout: self.request_timeout.get(),
            max_in_flight: self.max_in_flight as usize,
            ..GrpcConfig::default()
        }
    }

    /// The configuration of the server of metrics, health and profiles.
    pub fn sys(&self) -> HttpConfig {
        HttpConfig { addr: SocketAddr::new(self.server_host, self.prometheus_port), ..HttpConfig::default() }
    }

    /// The base URL at which clients reach HTTP, without a trailing slash.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://localhost:{}", self.server_port),
        }
    }

    /// The URL of the metrics to show to people, if any.
    pub fn metrics_url(&self) -> Option<String> {
        let here = self.server_host.is_loopback() && self.prometheus_port != 0;
        let local = || here.then(|| format!("http://localhost:{}/metrics", self.prometheus_port));
        self.metrics_url.clone().or_else(local)
    }
}

/// Logs and traces.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetrySettings {
    /// The log level, such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// The log format: `json` or `pretty`.
    #[schemars(with = "String")]
    pub log_format: LogFormat,
    /// Maximum number of new traces per second; traces over the limit are dropped as a whole. 0 means no limit.
    pub trace_limit: u32,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { log_level: "info".to_owned(), log_format: LogFormat::Json, trace_limit: 1_000 }
    }
}

impl Section for TelemetrySettings {
    const TITLE: &'static str = "Telemetry";

    fn check(&self, problems: &mut Problems) {
        for (key, reason) in self.telemetry(LogTarget::Stdout, &OtelSettings::default()).problems() {
            problems.add(key, reason);
        }
    }
}

impl TelemetrySettings {
    /// The configuration of telemetry, with logs written to `target`.
    pub fn telemetry(&self, target: LogTarget, otel: &OtelSettings) -> TelemetryConfig {
        let resolved = otel.variables().resolve();
        TelemetryConfig {
            service_name: otel.otel_service_name.clone(),
            default_service_name: "dogs".to_owned(),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            log_level: match target {
                LogTarget::Stdout => self.log_level.clone(),
                // Later directives, those of the setting, override earlier ones.
                LogTarget::Stderr => format!("{QUIET_CLIENTS},{}", self.log_level),
            },
            log_format: self.log_format,
            log_target: target,
            traces: resolved.traces,
            logs: resolved.logs,
            sampling: resolved.sampling,
            trace_limit: self.trace_limit,
        }
    }
}

/// Silences a client that logs every connection, which is noise for users of the command line.
const QUIET_CLIENTS: &str = "async_nats=warn";

/// The requirement on URLs that are not secret: they are printed, so they must not contain credentials.
pub(super) const WEB_URL: &str = "must be an http or https URL without a user or a password";

/// Whether the text meets [`WEB_URL`].
pub(super) fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare
    })
}
