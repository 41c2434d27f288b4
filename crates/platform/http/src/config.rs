//! Settings of a server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kennel_config::{ByteSize, HumanDuration, Problems, Section};
use kennel_net::ServerConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a request may take: asked for each one.
#[derive(Clone)]
pub struct RequestTimeout(Arc<dyn Fn() -> Duration + Send + Sync>);

impl RequestTimeout {
    /// One that can change.
    pub fn new(timeout: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(timeout))
    }

    /// One that is always the same.
    pub fn fixed(timeout: Duration) -> Self {
        Self::new(move || timeout)
    }

    pub(crate) fn get(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for RequestTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestTimeout").field(&self.get()).finish()
    }
}

impl PartialEq for RequestTimeout {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RequestTimeout {}

/// Settings of [`crate::HttpServer`] and [`crate::stack()`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpConfig {
    /// Port of HTTP; 0 selects any free port.
    pub server_port: u16,
    /// The base URL at which clients reach HTTP, for links in responses; with the path prefix of a proxy. Unset:
    /// `http://localhost:<SERVER_PORT>`, or `https` with TLS.
    pub public_url: Option<String>,
    /// How long a client may send no byte of an HTTP body before the response is 408. A slow client that sends is not limited.
    pub body_idle_timeout: HumanDuration,
    /// The maximum size of a request body, except for images and imports.
    pub body_limit: ByteSize,
    /// Allowed CORS origins, separated by commas; `*` allows all.
    pub cors_origins: Vec<String>,
    /// The section that all servers share.
    #[serde(skip)]
    pub server: ServerConfig,
    /// Not a setting of its own: whether the server has TLS, for its default URL.
    #[serde(skip)]
    pub has_tls: bool,
    /// Not a setting: maximum number of open connections; more wait to be accepted.
    #[serde(skip)]
    pub max_connections: usize,
    /// Not a setting: how long a client may take to send the head of a request, or stay idle between two requests.
    #[serde(skip)]
    pub header_read_timeout: Duration,
    /// Not a setting: how long a request may take, instead of that of `server`, if it can change while the server runs.
    #[serde(skip)]
    pub timeout: Option<RequestTimeout>,
    /// Not a setting: how long connections are still accepted during shutdown, each for one more request.
    #[serde(skip)]
    pub linger: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            server_port: 8080,
            public_url: None,
            body_idle_timeout: HumanDuration::from_secs(30),
            body_limit: ByteSize::mib(1),
            cors_origins: Vec::new(),
            server: ServerConfig::default(),
            has_tls: false,
            max_connections: 10_000,
            header_read_timeout: Duration::from_secs(30),
            timeout: None,
            linger: Duration::from_millis(250),
        }
    }
}

impl Section for HttpConfig {
    const TITLE: &'static str = "HTTP";

    fn check(&self, problems: &mut Problems) {
        problems.check_base_url("public_url", self.public_url.as_deref());
        problems.check_range("body_idle_timeout", self.body_idle_timeout, HumanDuration::from_millis(1)..);
        if let Some(origin) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            problems.add("cors_origins", format!("`{origin}` is not an origin such as https://example.org"));
        }
    }
}

impl HttpConfig {
    /// Returns the address to listen on; port 0 picks a free port.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.server.server_host, self.server_port)
    }

    /// Returns the base URL at which clients reach the server, without a trailing slash.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.has_tls => format!("https://localhost:{}", self.server_port),
            None => format!("http://localhost:{}", self.server_port),
        }
    }
}

/// Settings of the server of metrics, health and profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SysConfig {
    /// Port of metrics, health and profiles; 0 selects any free port. Do not expose it to public networks.
    pub prometheus_port: u16,
    /// The section that all servers share.
    #[serde(skip)]
    pub server: ServerConfig,
}

impl Default for SysConfig {
    fn default() -> Self {
        Self { prometheus_port: 9090, server: ServerConfig::default() }
    }
}

impl Section for SysConfig {
    const TITLE: &'static str = "Metrics and health";
}

impl SysConfig {
    /// Returns the settings of its server.
    pub fn http(&self) -> HttpConfig {
        HttpConfig { server_port: self.prometheus_port, server: self.server.clone(), ..HttpConfig::default() }
    }
}

fn is_origin(text: &str) -> bool {
    text == "*"
        || url::Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(HttpConfig::default().validate(), Ok(()));
        assert_eq!(HttpConfig::default().public_url(), "http://localhost:8080");
        assert_eq!(SysConfig::default().http().addr().to_string(), "127.0.0.1:9090");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let config = HttpConfig {
            public_url: Some("http://kennel.example/?dogs".to_owned()),
            body_idle_timeout: HumanDuration::default(),
            cors_origins: vec!["https://example.org".to_owned(), "https://example.org/path".to_owned()],
            ..HttpConfig::default()
        };
        let errors = config.validate().unwrap_err().0;
        let variables: Vec<_> = errors.iter().map(|error| error.location.split(' ').next().unwrap()).collect();
        assert_eq!(variables, ["PUBLIC_URL", "BODY_IDLE_TIMEOUT", "CORS_ORIGINS"]);
    }
}
