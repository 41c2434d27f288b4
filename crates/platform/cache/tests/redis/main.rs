//! Tests specific to Redis and the memory tier: replicas, leases, and an unreachable Redis.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fixture;
mod loads;
mod memory;
mod outages;
mod replicas;
#[path = "../support/mod.rs"]
mod support;
