//! Sources of dog images: drawn in-process, or fetched from a dog API.

mod breeds;
mod dog_ceo;
mod embedded;
mod settings;

pub use dog_ceo::{DogCeoSource, InvalidBaseUrl};
pub use embedded::EmbeddedSource;
pub use settings::SourceSettings;

/// An image is larger than the caller allows.
#[derive(Debug, thiserror::Error)]
#[error("image is larger than {limit} bytes")]
struct TooLarge {
    /// The maximum size, in bytes.
    limit: u64,
}
