//! What servers share, whatever their protocol: they listen, accept connections up to a limit, complete the handshakes of TLS,
//! drain connections, and give each request an id and a context; and the port that they ask who may call what.

pub mod acceptor;
pub mod access;
pub mod client;
pub mod config;
pub mod connection;
pub mod context;
pub mod idle_timeout;
pub mod lingering;
pub mod listener;
pub mod request_id;
pub mod tls;

pub use acceptor::{Acceptor, Connections};
pub use access::{AccessCheck, AccessDenied, Authenticated, Operation, expired};
pub use client::client_network;
pub use config::ServerConfig;
pub use connection::{Connection, Incoming};
pub use context::RequestContext;
pub use idle_timeout::with_idle_timeout;
pub use lingering::{Lingering, UnreadBytes};
pub use listener::{Address, BindError, Listener};
pub use request_id::RequestId;
pub use tls::{CertificateReload, Protocols, ServerTls, TlsConfig, TlsMetrics, TlsTuning};
