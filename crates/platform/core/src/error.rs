//! Error kinds that every protocol can map, and the error of repositories.

use std::time::Duration;

/// Any error, as the source of another one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Category of an error, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be parsed.
    Malformed,
    /// The request parses, but a value in it is not allowed.
    Invalid,
    /// The caller did not prove who it is: it sent no valid credentials.
    Unauthenticated,
    /// The caller is known, but may not do this.
    PermissionDenied,
    /// The resource does not exist.
    NotFound,
    /// The resource does not support the method.
    MethodNotAllowed,
    /// The resource exists already, or is in use.
    Conflict,
    /// The caller's precondition, such as a revision, is not met.
    PreconditionFailed,
    /// The request is larger than the limit.
    TooLarge,
    /// The resource does not accept the request's content type.
    UnsupportedMediaType,
    /// The configured backend does not support the operation.
    Unsupported,
    /// The caller made too many requests; a later one will succeed.
    RateLimited,
    /// The service is at its concurrency limit.
    Overloaded,
    /// A dependency does not answer; a later request may succeed.
    Unavailable,
    /// A dependency sent an invalid response.
    BadUpstream,
    /// The request exceeded its deadline.
    Timeout,
    /// The caller did not send the complete request in time.
    ClientTimeout,
    /// The caller closed the connection or cancelled the call.
    Cancelled,
    /// A defect or an unexpected failure of the service.
    Internal,
}

/// The status codes of an [`ErrorKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// Stable machine-readable code, such as `not_found`.
    pub code: &'static str,
    /// HTTP status.
    pub http: u16,
    /// gRPC status code, as numbered by the gRPC specification.
    pub grpc: i32,
}

impl ErrorKind {
    /// Every kind, for documentation and tests.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::Invalid,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unsupported,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
        Self::BadUpstream,
        Self::Timeout,
        Self::ClientTimeout,
        Self::Cancelled,
        Self::Internal,
    ];

    /// Returns the codes of this kind; the only table that maps kinds to protocols.
    pub const fn codes(self) -> Codes {
        let (code, http, grpc) = match self {
            Self::Malformed => ("malformed", 400, 3),
            Self::Invalid => ("invalid", 422, 3),
            Self::Unauthenticated => ("unauthenticated", 401, 16),
            Self::PermissionDenied => ("permission_denied", 403, 7),
            Self::NotFound => ("not_found", 404, 5),
            Self::MethodNotAllowed => ("method_not_allowed", 405, 12),
            Self::Conflict => ("conflict", 409, 6),
            Self::PreconditionFailed => ("precondition_failed", 412, 9),
            Self::TooLarge => ("too_large", 413, 11),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, 3),
            Self::Unsupported => ("unsupported", 501, 12),
            Self::RateLimited => ("rate_limited", 429, 8),
            Self::Overloaded => ("overloaded", 503, 8),
            Self::Unavailable => ("unavailable", 503, 14),
            Self::BadUpstream => ("bad_upstream", 502, 14),
            Self::Timeout => ("timeout", 504, 4),
            Self::ClientTimeout => ("client_timeout", 408, 1),
            Self::Cancelled => ("cancelled", 499, 1),
            Self::Internal => ("internal", 500, 13),
        };
        Codes { code, http, grpc }
    }

    /// Returns the kind with this code: what another service reported by its `code` or its `ErrorInfo`.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.codes().code == code)
    }

    /// Returns whether the caller caused the error, so that details in the response are safe and useful.
    pub const fn is_client(self) -> bool {
        self.codes().http < 500
    }

    /// Returns whether the same request may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Overloaded | Self::Unavailable | Self::Timeout)
    }
}

/// Why an operation of a service failed. HTTP and gRPC respond with the codes of the kind.
pub trait ServiceError: std::error::Error + Send + Sync + 'static {
    /// The kind. The caller sees the text of the error only if it is at fault.
    fn kind(&self) -> ErrorKind;

    /// When to retry, if known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Why a call to a repository failed, independent of the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The id or another unique value exists already.
    #[error("already exists")]
    Conflict,
    /// The store does not answer, or no connection is free.
    #[error("storage is unavailable")]
    Unavailable(#[source] BoxError),
    /// A stored value cannot be decoded.
    #[error("stored data is not readable")]
    Corrupt(#[source] BoxError),
    /// Any other error of the store.
    #[error("storage operation failed")]
    Backend(#[source] BoxError),
}

impl RepoError {
    /// A stored value cannot be decoded, because of `error`.
    pub fn corrupt(error: impl Into<BoxError>) -> Self {
        Self::Corrupt(error.into())
    }

    /// Returns the kind, which HTTP and gRPC map to a status code.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict => ErrorKind::Conflict,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Corrupt(_) | Self::Backend(_) => ErrorKind::Internal,
        }
    }
}

impl ServiceError for RepoError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract with clients: HTTP statuses of RFC 9110 and 6585, gRPC codes of its specification.
    #[test]
    fn every_kind_has_its_codes() {
        let table = [
            (ErrorKind::Malformed, "malformed", 400, 3),
            (ErrorKind::Invalid, "invalid", 422, 3),
            (ErrorKind::Unauthenticated, "unauthenticated", 401, 16),
            (ErrorKind::PermissionDenied, "permission_denied", 403, 7),
            (ErrorKind::NotFound, "not_found", 404, 5),
            (ErrorKind::MethodNotAllowed, "method_not_allowed", 405, 12),
            (ErrorKind::Conflict, "conflict", 409, 6),
            (ErrorKind::PreconditionFailed, "precondition_failed", 412, 9),
            (ErrorKind::TooLarge, "too_large", 413, 11),
            (ErrorKind::UnsupportedMediaType, "unsupported_media_type", 415, 3),
            (ErrorKind::Unsupported, "unsupported", 501, 12),
            (ErrorKind::RateLimited, "rate_limited", 429, 8),
            (ErrorKind::Overloaded, "overloaded", 503, 8),
            (ErrorKind::Unavailable, "unavailable", 503, 14),
            (ErrorKind::BadUpstream, "bad_upstream", 502, 14),
            (ErrorKind::Timeout, "timeout", 504, 4),
            (ErrorKind::ClientTimeout, "client_timeout", 408, 1),
            (ErrorKind::Cancelled, "cancelled", 499, 1),
            (ErrorKind::Internal, "internal", 500, 13),
        ];
        assert_eq!(table.map(|(kind, ..)| kind), ErrorKind::ALL);
        for (kind, code, http, grpc) in table {
            assert_eq!(kind.codes(), Codes { code, http, grpc });
            assert_eq!(ErrorKind::of_code(code), Some(kind), "the code is unique");
        }
        assert_eq!(ErrorKind::of_code("teapot"), None);
    }

    #[test]
    fn only_server_errors_hide_their_details() {
        assert!(ErrorKind::Invalid.is_client() && ErrorKind::RateLimited.is_client());
        assert!(!ErrorKind::BadUpstream.is_client());
        assert!(!ErrorKind::Internal.is_client());
    }
}
