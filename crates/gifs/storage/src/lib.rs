//! The Catalogue of the GIF pipeline, as the service `gif-storage`.

mod cli;
mod config;
mod grpc;
mod http;
mod media_results;
pub mod providers;
pub mod repository;
mod service;

pub use cli::GifStorageCommand;
pub use config::{GifStorageConfig, ProviderConfig};
pub use service::GifStorage;

kennel_service::contract_test!(crate::GifStorage, "../../..");
