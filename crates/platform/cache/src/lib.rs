//! Cache adapters and the typed, single-flight cache over them.
//!
//! Adapters implement [`kennel_core::Cache`], bytes under a key: [`memory`], [`none`] and, with the feature `redis`,
//! Redis with a memory tier in front. Services use [`TypedCache`]: values of one type, with a namespace, negative
//! entries, one load per key at a time, on request over all processes, and invalidations that a running load cannot
//! overwrite. [`connect()`] selects the adapter.

pub mod config;
pub mod connect;
pub mod counters;
pub mod locks;
pub mod memory;
pub mod metrics;
pub mod none;
#[cfg(feature = "redis")]
pub mod redis;
mod single_flight;
#[cfg(feature = "redis")]
pub mod tiered;
pub mod typed_cache;

pub use config::{Backend, CacheConfig, RedisTuning};
pub use connect::{ConnectError, Connected, Tier, connect};
pub use counters::Counters;
pub use locks::Locks;
pub use metrics::CacheMetrics;
pub use typed_cache::{Loaded, Policy, TypedCache};
