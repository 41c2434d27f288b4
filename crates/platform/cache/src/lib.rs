//! Cache adapters and the typed, single-flight cache over them.
//!
//! Adapters ([`memory`], [`none`], and with the feature `redis` Redis and a tier of memory in front of it) implement [`kennel_core::Cache`]: bytes under a key. [`Typed`] is what services
//! use: values of one type, with a namespace, negative entries, one load per key at a time, and invalidation that
//! wins against loads under way. [`connect()`] picks the adapter.

pub mod connect;
mod flight;
pub mod memory;
pub mod metrics;
pub mod none;
#[cfg(feature = "redis")]
pub mod redis;
pub mod redis_config;
#[cfg(feature = "redis")]
pub mod tiered;
pub mod typed;

pub use connect::{Backend, CacheConfig, ConnectError, Connected, Tier, connect};
pub use metrics::CacheMetrics;
pub use redis_config::RedisConfig;
pub use typed::{Policy, Typed};
