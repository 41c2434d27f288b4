//! Sources of dog images: drawn in-process, or fetched from a dog API.

pub mod breeds;
pub mod dog_ceo;
pub mod embedded;

pub use dog_ceo::{DogCeoSource, InvalidBaseUrl};
pub use embedded::EmbeddedSource;

/// An image is larger than the caller allows.
#[derive(Debug, thiserror::Error)]
#[error("image is larger than {limit} bytes")]
pub struct TooLarge {
    /// The maximum size, in bytes.
    pub limit: u64,
}
