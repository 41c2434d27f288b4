//! Object store adapters.
//!
//! Adapters implement [`kennel_core::ObjectStore`]; [`connect()`] picks one, [`Lazy`] does so when it is
//! first used, and [`Metered`] watches it.

pub mod connect;
pub mod fs;
pub mod lazy;
pub mod metered;
#[cfg(feature = "s3")]
pub mod s3;
pub mod s3_config;

pub use connect::{Backend, ConnectError, ObjectsConfig, connect};
pub use fs::FsObjects;
pub use lazy::Lazy;
pub use metered::{Metered, ObjectMetrics};
#[cfg(feature = "s3")]
pub use s3::S3Objects;
pub use s3_config::S3Config;
