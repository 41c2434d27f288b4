//! Settings that all servers of a process share.

use std::net::{IpAddr, Ipv4Addr};

use kennel_config::{HumanDuration, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What all servers of a process have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerConfig {
    /// The address that all listeners bind to. The default is only reachable from this machine; containers set `0.0.0.0`.
    #[schemars(with = "String")]
    pub server_host: IpAddr,
    /// How long a request may take; over HTTP, counted from the last byte of its body.
    pub request_timeout: HumanDuration,
    /// Maximum number of concurrent requests, separately for HTTP and gRPC; more are rejected.
    pub max_in_flight: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            server_host: Ipv4Addr::LOCALHOST.into(),
            request_timeout: HumanDuration::from_secs(30),
            max_in_flight: 1_024,
        }
    }
}

impl Section for ServerConfig {
    const TITLE: &'static str = "Server";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("request_timeout", self.request_timeout, HumanDuration::from_millis(1)..);
        problems.check_range("max_in_flight", self.max_in_flight, 1..);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_at_once() {
        assert_eq!(ServerConfig::default().validate(), Ok(()));
        let config =
            ServerConfig { request_timeout: HumanDuration::default(), max_in_flight: 0, ..ServerConfig::default() };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "REQUEST_TIMEOUT (not set): must be at least 1ms\nMAX_IN_FLIGHT (not set): must be at least 1"
        );
    }
}
