//! Settings of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of [`crate::HttpServer`] and [`crate::stack()`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on; port 0 picks a free port.
    pub addr: SocketAddr,
    /// Maximum time from the last byte of the body until the response starts, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a client may send nothing while the handler waits for its body, in milliseconds; then it gets a 408.
    pub body_idle_timeout_ms: u64,
    /// Maximum size of a request's body in bytes, unless its route sets another limit.
    pub body_limit: usize,
    /// Maximum number of requests in flight; more are refused with 503.
    pub max_in_flight: usize,
    /// Maximum number of open connections; more wait to be accepted.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, or stay idle between two requests, in milliseconds.
    pub header_read_timeout_ms: u64,
    /// How long connections are still accepted during shutdown, each for one more request, in milliseconds.
    pub linger_ms: u64,
    /// Origins that CORS allows; `*` allows all.
    pub cors_origins: Vec<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            request_timeout_ms: 30_000,
            body_idle_timeout_ms: 30_000,
            body_limit: 1024 * 1024,
            max_in_flight: 1_024,
            max_connections: 10_000,
            header_read_timeout_ms: 30_000,
            linger_ms: 250,
            cors_origins: Vec::new(),
        }
    }
}

impl HttpConfig {
    /// Invalid settings, as pairs of field and reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let positive = [
            ("request_timeout_ms", self.request_timeout_ms == 0, "1ms"),
            ("body_idle_timeout_ms", self.body_idle_timeout_ms == 0, "1ms"),
            ("max_in_flight", self.max_in_flight == 0, "1"),
            ("max_connections", self.max_connections == 0, "1"),
            ("header_read_timeout_ms", self.header_read_timeout_ms == 0, "1ms"),
        ];
        for (field, _, minimum) in positive.into_iter().filter(|(_, zero, _)| *zero) {
            problems.push((field, format!("must be at least {minimum}")));
        }
        if let Some(origin) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            problems.push(("cors_origins", format!("`{origin}` is not an origin such as https://example.org")));
        }
        problems
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) const fn body_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    pub(crate) const fn header_read_timeout(&self) -> Duration {
        Duration::from_millis(self.header_read_timeout_ms)
    }

    pub(crate) const fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
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
        assert_eq!(HttpConfig::default().problems(), []);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let config = HttpConfig {
            request_timeout_ms: 0,
            max_in_flight: 0,
            cors_origins: vec!["https://example.org".to_owned(), "https://example.org/path".to_owned()],
            ..HttpConfig::default()
        };
        let fields: Vec<_> = config.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["request_timeout_ms", "max_in_flight", "cors_origins"]);
    }
}
