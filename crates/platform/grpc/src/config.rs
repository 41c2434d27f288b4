//! Settings of a server.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_config::Section;
use kennel_net::ServerConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Default maximum message size: 4 MiB.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Settings of [`GrpcServer`](crate::GrpcServer). Only the port is one of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcConfig {
    /// Port of gRPC; 0 selects any free port.
    pub grpc_port: u16,
    /// The section that all servers share.
    ///
    /// `request_timeout`: a shorter `grpc-timeout` of the caller takes precedence. Client-streaming calls have only the
    /// caller's timeout; server-streaming calls have this one until the stream starts.
    ///
    /// `max_in_flight`: streams included; more are refused with `RESOURCE_EXHAUSTED`. Health checks do not count, so that
    /// an overloaded server does not look dead.
    #[serde(skip)]
    pub server: ServerConfig,
    /// The `domain` of `google.rpc.ErrorInfo`: the name of the service.
    #[serde(skip)]
    pub domain: &'static str,
    /// Maximum number of calls in flight per connection; more wait in the client.
    #[serde(skip)]
    pub max_streams_per_connection: u32,
    /// Maximum number of open connections; more wait to be accepted.
    #[serde(skip)]
    pub max_connections: usize,
    /// Maximum message size in bytes, before and after decompression. Set it on each tonic service:
    /// `XServer::new(..).max_decoding_message_size(config.max_message_bytes)`.
    #[serde(skip)]
    pub max_message_bytes: usize,
    /// Interval of HTTP/2 keep-alive pings.
    #[serde(skip)]
    pub keepalive_interval: Duration,
    /// Timeout of a ping's acknowledgement, and of the first byte on a new connection.
    #[serde(skip)]
    pub keepalive_timeout: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            grpc_port: 50051,
            server: ServerConfig::default(),
            domain: "",
            max_streams_per_connection: 256,
            max_connections: 4_096,
            max_message_bytes: MAX_MESSAGE_BYTES,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}

impl Section for GrpcConfig {
    const TITLE: &'static str = "gRPC";
}

impl GrpcConfig {
    /// Returns the address to listen on; port 0 picks a free port.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.server.server_host, self.grpc_port)
    }
}
