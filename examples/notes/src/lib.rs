//! Notes: the smallest useful service on the platform, and the one to copy.

mod api;
#[cfg(test)]
mod contracts;
pub mod domain;
mod grpc;
mod http;
pub mod repository;
mod service;

pub use service::Notes;
