//! Errors of calls to an upstream. No error text contains a URL, because a URL could contain a password or a token.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use kennel_core::{BoxError, ErrorKind};

use crate::policy::Refusal;
use crate::request_body::BodyError;

/// The client could not be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create http client")]
pub struct BuildError(#[from] reqwest::Error);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address policy forbids the address.
    #[error("upstream address is refused")]
    Refused(#[from] Refusal),
    /// The body is larger than the caller allows.
    #[error("upstream answered with more than {limit} bytes")]
    TooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The upstream answered with a status that the caller does not accept.
    #[error("upstream answered with status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// Value of `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The upstream did not answer in time.
    #[error("upstream did not answer in time")]
    Timeout,
    /// The upstream is unreachable, closed the connection early, or is not called because the circuit is open.
    #[error("upstream is unavailable")]
    Unavailable {
        /// When to retry, if known.
        retry_after: Option<Duration>,
        /// Cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The stream of the request's body failed.
    #[error("cannot read the request body")]
    RequestBody(#[source] BoxError),
    /// The response cannot be parsed.
    #[error("cannot parse upstream response")]
    Malformed(#[source] BoxError),
}

impl ClientError {
    /// The error kind that protocols map to a status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::Timeout,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Status { .. } if self.is_transient() => ErrorKind::Unavailable,
            Self::RequestBody(_) => ErrorKind::Internal,
            Self::Refused(_) | Self::TooLarge { .. } | Self::Malformed(_) | Self::Status { .. } => {
                ErrorKind::BadUpstream
            }
        }
    }

    /// When to retry, if known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a retry of the same call may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Unavailable { .. } => true,
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(_) | Self::TooLarge { .. } | Self::RequestBody(_) | Self::Malformed(_) => false,
        }
    }

    pub(crate) fn open_circuit(retry_after: Duration) -> Self {
        Self::Unavailable { retry_after: Some(retry_after), source: Some("the circuit is open".into()) }
    }

    /// Whether the error is a failure of the upstream and counts towards opening the circuit.
    pub(crate) fn is_upstream_failure(&self) -> bool {
        self.is_transient()
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = find::<Refusal>(&error) {
            return Self::Refused(*refusal);
        }
        if find::<BodyError>(&error).is_some() {
            return Self::RequestBody(error.into());
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The client decodes no content encoding, so a decoding error means that the body ended early.
        if error.is_builder() {
            return Self::Malformed(error.into());
        }
        Self::Unavailable { retry_after: None, source: Some(error.into()) }
    }
}

/// Finds an error of this type in the chain of sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
