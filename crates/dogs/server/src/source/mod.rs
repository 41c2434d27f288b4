//! Where dogs come from: drawn here, or fetched from a dog API.

pub mod breeds;
pub mod dog_ceo;
pub mod embedded;

pub use dog_ceo::{ConnectError, DogCeoSource};
pub use embedded::EmbeddedSource;

/// A picture that takes more bytes than the caller allows.
#[derive(Debug, thiserror::Error)]
#[error("picture is larger than {limit} bytes")]
pub struct TooLarge {
    /// The most bytes it may have.
    pub limit: u64,
}
