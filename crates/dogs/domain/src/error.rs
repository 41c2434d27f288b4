//! Why the service refused or failed.

use kennel_core::objects::ObjectError;
use kennel_core::{BoxError, ErrorKind, RepoError};

use crate::ports::SourceError;
use crate::{Breed, DogId};

/// Why a call to [`crate::DogService`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DogError {
    /// No dog has this id.
    #[error("no dog has the id {0}")]
    UnknownDog(DogId),
    /// The source knows no such breed.
    #[error("there is no breed `{0}`")]
    UnknownBreed(Breed),
    /// The dog has no picture in the service, or no small copy of it yet.
    #[error("the dog {0} has no such picture")]
    NoPhoto(DogId),
    /// The dog is at another revision than the caller said.
    #[error("the dog {0} has been changed by someone else")]
    Stale(DogId),
    /// A value is not allowed.
    #[error("{field}: {reason}")]
    Invalid {
        /// The name of the value, as the caller wrote it.
        field: &'static str,
        /// What it has to be.
        reason: String,
    },
    /// The idempotency key was used before, for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// An import was taken up with other lines than it was begun with.
    #[error("the import `{import}` was begun with other lines; use another key")]
    OtherImport {
        /// The import's key.
        import: String,
    },
    /// The rows of an import stopped coming.
    #[error("the rows could not be read to their end; {lines} lines are imported, send it again to go on")]
    Interrupted {
        /// Lines dealt with.
        lines: u64,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The picture is not in a format that the service takes.
    #[error("the picture must be a JPEG, PNG, GIF or WebP file")]
    NotAPicture,
    /// The picture's file is too large.
    #[error("the picture is larger than {limit} bytes")]
    PictureTooLarge {
        /// The most bytes it may have.
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
    /// An event could not be written; a fault of the service's own.
    #[error("event is not writable")]
    Event(#[from] serde_json::Error),
}

impl DogError {
    /// A refusal of the value called `field`.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// The kind that protocols show.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDog(_) | Self::UnknownBreed(_) | Self::NoPhoto(_) => ErrorKind::NotFound,
            Self::Stale(_) => ErrorKind::PreconditionFailed,
            Self::Invalid { .. } | Self::KeyReused | Self::OtherImport { .. } => ErrorKind::Invalid,
            Self::Interrupted { .. } => ErrorKind::Malformed,
            Self::NotAPicture => ErrorKind::UnsupportedMediaType,
            Self::PictureTooLarge { .. } => ErrorKind::TooLarge,
            Self::Repo(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::Source(error) => error.kind(),
            Self::Event(_) => ErrorKind::Internal,
        }
    }

    /// The name of the value at fault, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            Self::KeyReused | Self::OtherImport { .. } => Some("Idempotency-Key"),
            _ => None,
        }
    }
}
