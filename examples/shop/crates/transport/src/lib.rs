//! The protocols of shop: each parses a request, calls an operation of the domain, and converts the result.

mod grpc;
mod http;

pub use grpc::ItemRpc;
pub use http::routes;
