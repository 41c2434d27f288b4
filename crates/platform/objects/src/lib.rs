//! Object store adapters.
//!
//! Adapters implement [`kennel_core::ObjectStore`]. [`connect()`] selects one, [`LazyObjectStore`] opens it on first
//! use, and [`InstrumentedObjectStore`] records metrics and spans of its calls. [`HotObjects`] reads objects that never
//! change, the most read of them from memory.

pub mod config;
pub mod connect;
pub mod fs;
pub mod hot;
pub mod instrumented;
pub mod lazy;
#[cfg(feature = "s3")]
pub mod s3;

pub use config::{Backend, ObjectsConfig, S3Tuning};
pub use connect::{ConnectError, connect};
pub use fs::FsObjects;
pub use hot::HotObjects;
pub use instrumented::{InstrumentedObjectStore, ObjectMetrics};
pub use lazy::LazyObjectStore;
#[cfg(feature = "s3")]
pub use s3::S3Objects;
