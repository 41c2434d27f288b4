//! The protocols of shop: each parses a request, calls an operation of the domain, and converts the result.

pub mod admin;
pub mod billing;
mod grpc;
mod http;
pub mod orders;

pub use grpc::ItemRpc;
pub use http::routes;
