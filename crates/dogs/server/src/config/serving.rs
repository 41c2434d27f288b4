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
    /// The address that all listeners bind to. The default is reachable from this machine alone; containers set `0.0.0.0`.
    #[schemars(with = "String")]
    pub server_host: IpAddr,
    /// Port of HTTP; 0 takes any free one.
    pub server_port: u16,
    /// Port of gRPC; 0 takes any free one.
    pub grpc_port: u16,
    /// Port of metrics, health and profiles; 0 takes any free one. Keep it off public networks.
    pub prometheus_port: u16,
    /// Where callers reach HTTP, for the links in answers; behind a proxy that adds a prefix, with the prefix. Unset:
    /// `http://localhost:<SERVER_PORT>`.
    pub public_url: Option<String>,
    /// Where people find the metrics, for the link in the gallery. Unset: `http://localhost:<PROMETHEUS_PORT>/metrics`
    /// where `SERVER_HOST` is a loopback address, else no link.
    pub metrics_url: Option<String>,
    /// Where people find Grafana, for the link in the gallery. Unset: no link.
    pub grafana_url: Option<String>,
    /// How long a request or a call may take; over HTTP, from the last byte of its body on.
    pub request_timeout: HumanDuration,
    /// How long a caller may send nothing of a body over HTTP; the answer is 408 then. However slow, one that sends is waited for.
    pub body_idle_timeout: HumanDuration,
    /// The largest body of a request, pictures and imports aside.
    pub body_limit: ByteSize,
    /// Requests in hand at once, over each of HTTP and gRPC; more are refused.
    pub max_in_flight: u32,
    /// Origins whose pages may call, separated by commas; `*` lets all.
    pub cors_origins: Vec<String>,
    /// How long to go on serving after readiness went away, for load balancers to notice.
    pub drain_delay: HumanDuration,
    /// How long a stop may take in all.
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
    /// The HTTP server's part.
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

    /// The gRPC server's part.
    pub fn grpc(&self) -> GrpcConfig {
        GrpcConfig {
            addr: SocketAddr::new(self.server_host, self.grpc_port),
            domain: "dogs",
            timeout: self.request_timeout.get(),
            max_in_flight: self.max_in_flight as usize,
            ..GrpcConfig::default()
        }
    }

    /// The server of metrics, health and profiles.
    pub fn sys(&self) -> HttpConfig {
        HttpConfig { addr: SocketAddr::new(self.server_host, self.prometheus_port), ..HttpConfig::default() }
    }

    /// Where callers reach HTTP, without a slash at the end.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://localhost:{}", self.server_port),
        }
    }

    /// Where people find the metrics, if they are meant to.
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
    /// Which lines are logged: a level such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// How lines look: `json` or `pretty`.
    #[schemars(with = "String")]
    pub log_format: LogFormat,
    /// How many new traces are sent each second at most; past it none has holes, but not all are sent. 0 is no limit.
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
    /// What to set up, with lines going to `target`.
    pub fn telemetry(&self, target: LogTarget, otel: &OtelSettings) -> TelemetryConfig {
        let resolved = otel.variables().resolve();
        TelemetryConfig {
            service_name: otel.otel_service_name.clone(),
            default_service_name: "dogs".to_owned(),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            log_level: match target {
                LogTarget::Stdout => self.log_level.clone(),
                // What the setting says of them comes later, and wins.
                LogTarget::Stderr => format!("{TALKATIVE},{}", self.log_level),
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

/// A client that tells of each connection: news in the log of a service, noise to whoever types a command.
const TALKATIVE: &str = "async_nats=warn";

/// What a URL of the web has to be. One that is no secret must not hold one, for it is printed.
pub(super) const WEB_URL: &str = "must be an http or https URL without a user or a password";

/// Whether this is what [`WEB_URL`] says.
pub(super) fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare
    })
}
