//! The protocols of «project»: each parses a request, calls an operation of the domain, and converts the result.

//% if grpc
mod grpc;
//% endif
//% if rest
mod http;
//% endif
//% for server in servers
pub mod «server»;
//% endfor
//% for service in services
pub mod «service»;
//% endfor
//% for command_line in command_lines
pub mod «command_line»;
//% endfor

//% if grpc
pub use grpc::NoteRpc;
//% endif
//% if rest
pub use http::routes;
//% endif
