//! Media of the GIF pipeline: downloads the GIFs of the catalogue, checks them, and stores them with a poster and a small
//! version.

mod catalogue;
mod cli;
mod config;
mod downloader;
pub mod fetcher;
mod grpc;
pub mod repository;
mod service;
mod temp_file;

pub use config::MediaConfig;
pub use downloader::Downloader;
pub use service::GifFiles;

kennel_service::contract_test!(crate::GifFiles, "../../..");
