//! Requests of the GIF pipeline: searches, answered from a cache, and the delivery of files.

mod api;
mod config;
mod errors;
mod files;
mod history;
mod http;
mod searches;
mod service;

pub use config::{Delivery, DeliveryConfig, GifApiConfig, SearchConfig};
pub use service::GifApi;

kennel_service::contract_test!(crate::GifApi, "../../..");
