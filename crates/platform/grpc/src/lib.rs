//! gRPC server component, health, reflection and status details; and a client of other services.
//!
//! [`GrpcServer`] serves any tonic service and handles every call in the same way: it sets a request id, a span,
//! metrics and a deadline, limits the calls in flight, and responds even if the handler panics. Handlers map their errors to
//! statuses with [`failed`], [`status()`] and [`fault`]. [`GrpcChannel`] calls other services.

mod body;
mod call;
pub mod client;
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

pub use client::{CallError, GrpcChannel, GrpcClientConfig, GrpcClientMetrics};
pub use compression::{COMPRESSION, respond};
pub use config::GrpcConfig;
pub use context::request_id;
pub use metrics::GrpcMetrics;
pub use server::GrpcServer;
pub use status::{Details, Reply, failed, fault, invalid, items, optional, page, status, valid};
