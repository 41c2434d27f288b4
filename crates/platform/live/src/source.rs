//! The port.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kennel_core::BoxError;

/// Texts by key.
pub type Values = BTreeMap<String, String>;

/// Why the values could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The source is unreachable; a later call may succeed.
    #[error("the source of live settings is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is there cannot be read.
    #[error("the live settings are invalid")]
    Invalid(#[source] BoxError),
}

/// Has values that change.
#[async_trait]
pub trait LiveSource: Send + 'static {
    /// The first call returns all values, without any if there are none yet; each further one waits for a change, and
    /// returns all values. After an error, the next call returns all values as soon as it can read them. A call that is dropped loses no change.
    async fn next(&mut self) -> Result<Values, LiveError>;
}
