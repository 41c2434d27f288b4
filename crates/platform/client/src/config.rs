//! Settings of a client.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of [`crate::Client`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Timeout of connecting, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Timeout of one attempt, including its body, in milliseconds.
    pub timeout_ms: u64,
    /// Deadline of all attempts and the pauses between them, in milliseconds.
    pub deadline_ms: u64,
    /// Maximum number of retries of a call.
    pub max_retries: u32,
    /// Base of the backoff, in milliseconds: the first pause is up to twice as long, and each further one doubles.
    pub backoff_ms: u64,
    /// Maximum backoff, in milliseconds; a `Retry-After` of the upstream may be longer.
    pub max_backoff_ms: u64,
    /// Maximum number of redirects to follow.
    pub max_redirects: usize,
    /// Maximum size of a JSON response, in bytes.
    pub max_json_bytes: u64,
    /// Failures in a row that open the circuit; 0 never opens it.
    pub breaker_failures: u32,
    /// How long the circuit stays open, in milliseconds.
    pub breaker_pause_ms: u64,
    /// Whether to allow loopback addresses and addresses of private networks.
    pub allow_private: bool,
    /// Addresses to allow although they are not public.
    pub allowed_addresses: Vec<IpAddr>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("kennel/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
            deadline_ms: 20_000,
            max_retries: 2,
            backoff_ms: 100,
            max_backoff_ms: 5_000,
            max_redirects: 3,
            max_json_bytes: 1024 * 1024,
            breaker_failures: 5,
            breaker_pause_ms: 10_000,
            allow_private: false,
            allowed_addresses: Vec::new(),
        }
    }
}

impl ClientConfig {
    /// Invalid settings, as pairs of field and reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let zeros = [
            ("connect_timeout_ms", self.connect_timeout_ms, "1ms"),
            ("timeout_ms", self.timeout_ms, "1ms"),
            ("deadline_ms", self.deadline_ms, "1ms"),
            ("max_json_bytes", self.max_json_bytes, "1B"),
        ];
        let zeros = zeros.into_iter().filter(|(_, value, _)| *value == 0);
        let mut problems: Vec<_> =
            zeros.map(|(field, _, minimum)| (field, format!("must be at least {minimum}"))).collect();
        if http::HeaderValue::from_str(&self.user_agent).is_err() {
            problems.push(("user_agent", "must be visible ASCII".to_owned()));
        }
        problems
    }

    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) const fn backoff(&self) -> Duration {
        Duration::from_millis(self.backoff_ms)
    }

    pub(crate) const fn max_backoff(&self) -> Duration {
        Duration::from_millis(self.max_backoff_ms)
    }

    pub(crate) const fn breaker_pause(&self) -> Duration {
        Duration::from_millis(self.breaker_pause_ms)
    }
}
