//! The limits of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The largest message that a service takes, unless it is told otherwise: 4 MiB.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Where a server listens, and how much it takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcConfig {
    /// The address to listen on; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Whose errors these are: the `domain` of `google.rpc.ErrorInfo`.
    pub domain: &'static str,
    /// How long a call may take. A shorter `grpc-timeout` of the caller's wins. Calls that stream requests are held to
    /// the caller's alone, and calls that stream responses to this one until the stream begins.
    pub timeout: Duration,
    /// Calls, streams included, that run at once; more are refused with `RESOURCE_EXHAUSTED`.
    /// Health checks are not counted, so that a busy server does not look like a dead one.
    pub max_in_flight: usize,
    /// Calls that run at once on one connection; more wait at the caller's.
    pub max_streams_per_connection: u32,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// The largest message in bytes, before and after it is unpacked. Limits are set on each tonic service:
    /// `XServer::new(..).max_decoding_message_size(config.max_message_bytes)`.
    pub max_message_bytes: usize,
    /// How often a connection is asked whether its other end is still there.
    pub keepalive_interval: Duration,
    /// How long the answer may take, and how long a new connection may stay silent.
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
