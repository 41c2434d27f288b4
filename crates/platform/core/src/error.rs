//! Why a call failed, in words every protocol understands.

/// Any error, kept as the source of one of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, told apart by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be parsed.
    Malformed,
    /// The request parses, but a value in it is not allowed.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The method is not one that this resource has.
    MethodNotAllowed,
    /// The thing exists already, or is in use.
    Conflict,
    /// The caller's precondition, such as a revision, does not hold.
    PreconditionFailed,
    /// The request is larger than the limit.
    TooLarge,
    /// The request's content type is not one that this resource takes.
    UnsupportedMediaType,
    /// The backend in use cannot do this.
    Unsupported,
    /// The service has all the work it can hold.
    Overloaded,
    /// A dependency does not answer now; trying again later may help.
    Unavailable,
    /// A dependency answered with something unusable.
    BadUpstream,
    /// The work did not end in time.
    Timeout,
    /// The caller began to send a request and fell silent.
    ClientTimeout,
    /// The caller went away.
    Cancelled,
    /// A fault of the service's own.
    Internal,
}

/// How the protocols show an [`ErrorKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// Stable name for programs, such as `not_found`.
    pub code: &'static str,
    /// HTTP status.
    pub http: u16,
    /// gRPC status code, as numbered by the gRPC specification.
    pub grpc: i32,
}

impl ErrorKind {
    /// Every kind, for documentation and tests.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Invalid,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unsupported,
        Self::Overloaded,
        Self::Unavailable,
        Self::BadUpstream,
        Self::Timeout,
        Self::ClientTimeout,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The one table that maps a kind to each protocol.
    pub const fn codes(self) -> Codes {
        let (code, http, grpc) = match self {
            Self::Malformed => ("malformed", 400, 3),
            Self::Invalid => ("invalid", 422, 3),
            Self::NotFound => ("not_found", 404, 5),
            Self::MethodNotAllowed => ("method_not_allowed", 405, 12),
            Self::Conflict => ("conflict", 409, 6),
            Self::PreconditionFailed => ("precondition_failed", 412, 9),
            Self::TooLarge => ("too_large", 413, 11),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, 3),
            Self::Unsupported => ("unsupported", 501, 12),
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

    /// Whether the caller caused it, so that telling the caller the details is safe and useful.
    pub const fn is_client(self) -> bool {
        self.codes().http < 500
    }

    /// Whether the same request may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable | Self::Timeout)
    }
}

/// Why a call to a store failed, in words the domain understands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The id, or another unique value, is taken.
    #[error("already exists")]
    Conflict,
    /// The store does not answer, or has no free connection.
    #[error("storage is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read back.
    #[error("stored data is not readable")]
    Corrupt(#[source] BoxError),
    /// Anything else the store reports.
    #[error("storage operation failed")]
    Backend(#[source] BoxError),
}

impl RepoError {
    /// The kind that protocols show.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict => ErrorKind::Conflict,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Corrupt(_) | Self::Backend(_) => ErrorKind::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_range() {
        let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.codes().code).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            let codes = kind.codes();
            assert!((400..600).contains(&codes.http), "{kind:?}");
            assert!((1..=16).contains(&codes.grpc), "{kind:?}");
        }
    }

    #[test]
    fn only_faults_of_ours_hide_their_details() {
        assert!(ErrorKind::Invalid.is_client());
        assert!(!ErrorKind::BadUpstream.is_client());
        assert!(!ErrorKind::Internal.is_client());
    }
}
