//! What servers share, whatever their protocol: they listen, accept connections up to a limit, drain them, and give
//! each request an id and a context.

pub mod acceptor;
pub mod config;
pub mod context;
pub mod idle_timeout;
pub mod lingering;
pub mod listener;
pub mod request_id;

pub use acceptor::{Acceptor, Connections};
pub use config::ServerConfig;
pub use context::RequestContext;
pub use idle_timeout::with_idle_timeout;
pub use lingering::{Lingering, UnreadBytes};
pub use listener::{Address, BindError, Listener};
pub use request_id::RequestId;
