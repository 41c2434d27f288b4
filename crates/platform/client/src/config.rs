//! Settings of a client.

use std::net::IpAddr;
use std::time::Duration;

use kennel_config::Secret;

/// Settings of [`crate::Client`].
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Timeout of connecting.
    pub connect_timeout: Duration,
    /// Timeout of one attempt, including its body, if the request has none of its own.
    pub timeout: Duration,
    /// Deadline of all attempts and the pauses between them.
    pub deadline: Duration,
    /// Maximum number of retries of a call.
    pub max_retries: u32,
    /// Base of the backoff: the first pause is up to twice as long, and each further one doubles.
    pub backoff: Duration,
    /// Maximum backoff; a `Retry-After` of the upstream may be longer.
    pub max_backoff: Duration,
    /// Maximum number of redirects to follow.
    pub max_redirects: usize,
    /// Maximum size of a response, in bytes, if the request has no limit of its own.
    pub max_bytes: u64,
    /// Failures in a row that open the circuit; 0 never opens it.
    pub breaker_failures: u32,
    /// How long the circuit stays open.
    pub breaker_pause: Duration,
    /// Whether to allow loopback addresses and addresses of private networks.
    pub allow_private: bool,
    /// Addresses to allow although they are not public.
    pub allowed_addresses: Vec<IpAddr>,
    /// Whether to send the trace context; not to services of others, whose spans no one here sees.
    pub propagate_trace: bool,
    /// What URLs of requests must not show in spans and logs, such as a key in the path. Values of the query are never
    /// shown.
    pub secrets: Vec<Secret>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("kennel/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
            max_retries: 2,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            max_redirects: 3,
            max_bytes: 1024 * 1024,
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(10),
            allow_private: false,
            allowed_addresses: Vec::new(),
            propagate_trace: true,
            secrets: Vec::new(),
        }
    }
}
