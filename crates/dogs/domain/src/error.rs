//! Errors of the service.

use std::time::Duration;

use kennel_core::objects::ObjectError;
use kennel_core::{BoxError, CodecError, ErrorKind, RepoError, ServiceError};

use crate::ports::SourceError;
use crate::{Breed, DogId};

/// Why a call to [`crate::DogService`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DogError {
    /// No dog has this id.
    #[error("no dog has the id {0}")]
    UnknownDog(DogId),
    /// The source does not have this breed.
    #[error("there is no breed `{0}`")]
    UnknownBreed(Breed),
    /// The dog has no image in the service, or no thumbnail of it yet.
    #[error("the dog {0} has no such image")]
    NoPhoto(DogId),
    /// The dog is at a different revision than the caller expected.
    #[error("the dog {0} has been changed by someone else")]
    Stale(DogId),
    /// A value is not allowed.
    #[error("{field}: {reason}")]
    Invalid {
        /// The name of the value in the request.
        field: &'static str,
        /// What is allowed.
        reason: String,
    },
    /// The key of a request or an import is not allowed.
    #[error("the key {0}")]
    InvalidKey(String),
    /// The idempotency key was used before for a different request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// An import was resumed with different lines than it was started with.
    #[error("the import `{import}` was started with different lines; use another key")]
    OtherImport {
        /// The import's key.
        import: String,
    },
    /// The stream of an import's lines ended with an error.
    #[error("the import was interrupted after {lines} lines; send it again to resume")]
    Interrupted {
        /// Number of processed lines.
        lines: u64,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The image is not in a supported format.
    #[error("the image must be a JPEG, PNG, GIF or WebP file")]
    NotAPicture,
    /// The file of the image is too large.
    #[error("the image is larger than {limit} bytes")]
    PictureTooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The source of dogs failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An event could not be encoded; a bug of the service.
    #[error("event cannot be encoded")]
    Event(#[from] CodecError),
}

impl DogError {
    /// An error of the value called `field`.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// The name of the invalid value and what is wrong with it, if the error has one. `key` is the protocol's name of the
    /// key of a request or an import.
    pub fn invalid_value(&self, key: &'static str) -> Option<(&'static str, String)> {
        match self {
            Self::Invalid { field, reason } => Some((field, reason.clone())),
            Self::InvalidKey(reason) => Some((key, reason.clone())),
            Self::KeyReused | Self::OtherImport { .. } => Some((key, self.to_string())),
            _ => None,
        }
    }

    /// The text for the caller, with the protocol's name of the key.
    pub fn message(&self, key: &'static str) -> String {
        match self {
            Self::InvalidKey(reason) => format!("{key}: {reason}"),
            other => other.to_string(),
        }
    }
}

impl ServiceError for DogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDog(_) | Self::UnknownBreed(_) | Self::NoPhoto(_) => ErrorKind::NotFound,
            Self::Stale(_) => ErrorKind::PreconditionFailed,
            Self::Invalid { .. } | Self::InvalidKey(_) | Self::KeyReused | Self::OtherImport { .. } => {
                ErrorKind::Invalid
            }
            Self::Interrupted { .. } => ErrorKind::Malformed,
            Self::NotAPicture => ErrorKind::UnsupportedMediaType,
            Self::PictureTooLarge { .. } => ErrorKind::TooLarge,
            Self::Repo(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::Source(error) => error.kind(),
            Self::Event(_) => ErrorKind::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Source(SourceError::Unavailable { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}
