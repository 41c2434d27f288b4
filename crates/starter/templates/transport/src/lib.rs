//! The protocols of «project»: each parses a request, calls an operation of the domain, and converts the result.

//% if grpc
mod grpc;
//% endif
//% if rest
mod http;
//% endif

//% if grpc
pub use grpc::NoteRpc;
//% endif
//% if rest
pub use http::routes;
//% endif
