//! The Catalogue of the GIF pipeline, as the service `gif-storage`.

mod config;
#[cfg(test)]
mod contracts;
mod grpc;
mod http;
mod media_results;
pub mod providers;
pub mod repository;
mod service;

pub use config::ProviderConfig;
pub use service::{GifStorage, GifStorageCommand, GifStorageConfig};
