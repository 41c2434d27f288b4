//! Searches of several replicas that share a Redis: how often a provider is asked, and what is answered while it, or Redis,
//! is gone.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod outages;
mod quota;
#[path = "../../../storage/tests/providers/scripted.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "each test program needs a part of it")]
mod scripted;
mod system;
