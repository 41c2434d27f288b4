//! The cache port: bytes under a key, for a while.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// The cache does not answer. Callers go on without it.
#[derive(Debug, thiserror::Error)]
#[error("cache is unavailable")]
pub struct CacheError(#[source] pub BoxError);

/// Keeps bytes for a while. Typed access, negative entries and single-flight stand on top of it.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// What was last set under `key`, unless it ran out, was removed or was pushed out.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;

    /// Keeps `value` for at most `ttl`.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError>;

    /// Forgets `key`; fine when it is not there.
    async fn remove(&self, key: &str) -> Result<(), CacheError>;

    /// Whether the cache answers, for health checks.
    async fn ping(&self) -> Result<(), CacheError>;
}
