//! Object store adapters.
//!
//! Adapters implement [`kennel_core::ObjectStore`]; [`connect()`] picks one and [`Metered`] watches it.

pub mod connect;
pub mod fs;
pub mod metered;

pub use connect::{Backend, ConnectError, ObjectsConfig, connect};
pub use fs::FsObjects;
pub use metered::{Metered, ObjectMetrics};
