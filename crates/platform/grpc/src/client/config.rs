//! Settings of a client.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use kennel_config::{HumanDuration, Problems, Secret, Section};
use kennel_core::Backoff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::transport::Uri;

use super::addresses::{is_https, parse_url};

/// A gRPC server that the service calls. A service reads one with the server's name as prefix: `CATALOGUE_GRPC_URL`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcClientConfig {
    /// URLs of the server, such as `http://catalogue:50052`, separated by commas; with TLS, `https`. Calls are balanced over all
    /// of them, and over all addresses of a host name.
    pub grpc_url: Vec<String>,
    /// File with the CA certificates, in PEM, that may issue the certificate of a server with TLS. Unset: those of the system.
    pub grpc_ca: Option<PathBuf>,
    /// Maximum duration of a call, except for streams. The rest of the time of the request that causes it may be shorter.
    pub grpc_timeout: HumanDuration,
    /// The API key of this service at the server, for servers with `AUTH`.
    pub grpc_api_key: Option<Secret>,
    /// What is not a setting.
    #[serde(skip)]
    pub tuning: GrpcClientTuning,
}

/// Properties of a client that are not settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcClientTuning {
    /// Whether the process is ready only while an address of the server is.
    pub required: bool,
    /// How much earlier than the request that causes it a call ends, so that there is time to answer.
    pub deadline_margin: Duration,
    /// Timeout of connecting, and of the first answer to a health check.
    pub connect_timeout: Duration,
    /// Interval of HTTP/2 keep-alive pings, also while no call is in flight.
    pub keepalive_interval: Duration,
    /// Timeout of a ping's acknowledgement.
    pub keepalive_timeout: Duration,
    /// How often host names are resolved again.
    pub resolve_interval: Duration,
    /// How often an address is checked whose server does not have `grpc.health.v1`.
    pub check_interval: Duration,
    /// Pauses between connection attempts to an address.
    pub reconnect: Backoff,
    /// Attempts per call of an idempotent method, including the first one.
    pub max_attempts: u32,
    /// Pauses between attempts.
    pub retry: Backoff,
    /// Number of retries that are possible at once. Each call adds a tenth of a retry up to this number, so that retries
    /// add at most a tenth to the load of a server that fails.
    pub retry_budget: u32,
}

impl Default for GrpcClientConfig {
    fn default() -> Self {
        Self {
            grpc_url: Vec::new(),
            grpc_ca: None,
            grpc_timeout: HumanDuration::from_secs(10),
            grpc_api_key: None,
            tuning: GrpcClientTuning::default(),
        }
    }
}

impl Default for GrpcClientTuning {
    fn default() -> Self {
        Self {
            required: false,
            deadline_margin: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            resolve_interval: Duration::from_secs(30),
            check_interval: Duration::from_secs(5),
            reconnect: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            max_attempts: 3,
            retry: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            retry_budget: 10,
        }
    }
}

impl Section for GrpcClientConfig {
    const TITLE: &'static str = "gRPC client";

    fn check(&self, problems: &mut Problems) {
        if self.grpc_url.is_empty() {
            problems.add("grpc_url", "must be set, such as http://localhost:50051");
        } else if let Some(invalid) = self.grpc_url.iter().find(|url| parse_url(url).is_none()) {
            problems.add("grpc_url", format!("must be URLs such as http://localhost:50051, not {invalid:?}"));
        }
        if self.grpc_ca.as_ref().is_some_and(|file| !file.is_file()) {
            problems.add("grpc_ca", "must be a file");
        } else if self.grpc_ca.is_some() && !self.urls().any(|url| is_https(&url)) {
            problems.add("grpc_ca", "has no effect without a https URL");
        }
        problems.check_not_zero("grpc_timeout", self.grpc_timeout);
        if self.grpc_api_key.is_some() && self.api_key().is_none() {
            problems.add("grpc_api_key", "must be printable ASCII");
        }
    }
}

impl GrpcClientConfig {
    /// The URLs that are valid.
    pub(crate) fn urls(&self) -> impl Iterator<Item = Uri> {
        self.grpc_url.iter().filter_map(|url| parse_url(url))
    }

    /// The value of the header with the API key, which is not shown.
    pub(crate) fn api_key(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.grpc_api_key.as_ref()?.expose().trim()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
