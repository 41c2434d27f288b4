//! The limits of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Default maximum message size: 4 MiB.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Listen address and limits of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Address to listen on; port 0 picks a free port.
    pub addr: SocketAddr,
    /// The `domain` of `google.rpc.ErrorInfo`.
    pub domain: &'static str,
    /// Timeout of a call. A shorter `grpc-timeout` of the caller takes precedence. Client-streaming calls have only the
    /// caller's timeout; server-streaming calls have this one until the stream starts.
    pub timeout: Duration,
    /// Maximum number of calls in flight, streams included; more are refused with `RESOURCE_EXHAUSTED`.
    /// Health checks do not count, so that an overloaded server does not look dead.
    pub max_in_flight: usize,
    /// Maximum number of calls in flight per connection; more wait in the client.
    pub max_streams_per_connection: u32,
    /// Maximum number of open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Maximum message size in bytes, before and after decompression. Set it on each tonic service:
    /// `XServer::new(..).max_decoding_message_size(config.max_message_bytes)`.
    pub max_message_bytes: usize,
    /// Interval of HTTP/2 keep-alive pings.
    pub keepalive_interval: Duration,
    /// Timeout of a ping's acknowledgement, and of the first byte on a new connection.
    pub keepalive_timeout: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 50051)),
            domain: "",
            timeout: Duration::from_secs(30),
            max_in_flight: 1_024,
            max_streams_per_connection: 256,
            max_connections: 4_096,
            max_message_bytes: MAX_MESSAGE_BYTES,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}
