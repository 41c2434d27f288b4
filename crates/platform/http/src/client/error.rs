//! Why a call to an upstream failed. No text holds a URL: it could carry a password or a token.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use kennel_core::{BoxError, ErrorKind};

use super::policy::Refusal;

/// A client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("http client cannot be built")]
pub struct BuildError(#[from] reqwest::Error);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Policy forbids to call there.
    #[error("upstream address is refused")]
    Refused(#[from] Refusal),
    /// The body is larger than the caller takes.
    #[error("upstream answered with more than {limit} bytes")]
    TooLarge {
        /// Most bytes that were to be taken.
        limit: u64,
    },
    /// It answered with a status other than 200.
    #[error("upstream answered with status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It did not answer in time.
    #[error("upstream did not answer in time")]
    Timeout,
    /// It cannot be reached, broke off, or is not called for a while because it keeps failing.
    #[error("upstream is unavailable")]
    Unavailable {
        /// When to try again, where that is known.
        retry_after: Option<Duration>,
        /// What the connection reported.
        #[source]
        source: Option<BoxError>,
    },
    /// It answered with something that is not what it should be.
    #[error("upstream answer is not readable")]
    Malformed(#[source] BoxError),
}

impl ClientError {
    /// The kind that protocols show.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::Timeout,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Status { .. } if self.is_transient() => ErrorKind::Unavailable,
            Self::Refused(_) | Self::TooLarge { .. } | Self::Malformed(_) | Self::Status { .. } => {
                ErrorKind::BadUpstream
            }
        }
    }

    /// When to try again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Unavailable { .. } => true,
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(_) | Self::TooLarge { .. } | Self::Malformed(_) => false,
        }
    }

    pub(super) fn open_circuit(retry_after: Duration) -> Self {
        Self::Unavailable { retry_after: Some(retry_after), source: Some("the circuit is open".into()) }
    }

    /// Whether it tells that the upstream is not well; counts towards opening the circuit.
    pub(super) fn is_of_upstream(&self) -> bool {
        self.is_transient()
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = refusal(&error) {
            return Self::Refused(refusal);
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        // Nothing is decoded on the way: a failing decoder is a body that broke off.
        if error.is_builder() {
            return Self::Malformed(error.into());
        }
        Self::Unavailable { retry_after: None, source: Some(error.into()) }
    }
}

/// The policy's own error, behind those of the layers that carried it.
fn refusal(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        next = error.source();
    }
    None
}
