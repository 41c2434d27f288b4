//! gRPC server component, health, reflection and status details.
//!
//! [`GrpcServer`] carries any tonic service and gives each call the same treatment: a request id, a span, metrics, a
//! deadline, a place among the calls in flight, and an answer even when the handler panics. Handlers turn their
//! errors into statuses with [`status()`] and [`fault`].

mod body;
mod call;
pub mod compression;
pub mod config;
pub mod context;
mod deadline;
mod health;
pub mod methods;
pub mod metrics;
mod reflection;
mod serve;
pub mod server;
pub mod status;
mod trace;

pub use compression::{COMPRESSION, respond};
pub use config::GrpcConfig;
pub use context::request_id;
pub use metrics::GrpcMetrics;
pub use server::GrpcServer;
pub use status::{Details, fault, status};
