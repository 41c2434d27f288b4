//! The dogs service: HTTP, gRPC, workers and command line over one domain service.

pub mod cli;
pub mod config;
pub mod contracts;
pub mod grpc;
pub mod http;
pub mod picture_check;
mod service;
pub mod workers;

pub use self::service::Dogs;

/// Name of the service: in traces and errors, and the start of its keys in a shared cache.
pub const NAME: &str = "dogs";
