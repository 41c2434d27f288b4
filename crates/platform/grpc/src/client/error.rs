//! Errors of calls to other services: statuses, translated back to the kinds that their details name.

use std::time::Duration;

use kennel_core::ErrorKind;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::status::kind_of;

/// A call to another service failed.
#[derive(Debug, thiserror::Error)]
#[error("call failed with {:?}", .status.code())]
pub struct CallError {
    kind: ErrorKind,
    #[source]
    status: Status,
}

impl CallError {
    /// What went wrong, from the point of view of the service that was called. What it means for the caller's own caller is
    /// for the caller to decide: an invalid request may be its own mistake.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// When to retry, if the service says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status.get_details_retry_info()?.retry_delay
    }

    /// The invalid values, each with what it has to be, by the names in the request.
    pub fn fields(&self) -> Vec<(String, String)> {
        let details = self.status.get_details_bad_request();
        let violations = details.map(|request| request.field_violations).unwrap_or_default();
        violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
    }

    /// The status.
    pub const fn status(&self) -> &Status {
        &self.status
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let kind = kind_of(&status).unwrap_or_else(|| kind_of_code(status.code()));
        Self { kind, status }
    }
}

/// The kind of a status without details, which other servers send.
const fn kind_of_code(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::Invalid,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists | Code::Aborted => ErrorKind::Conflict,
        Code::FailedPrecondition => ErrorKind::PreconditionFailed,
        Code::ResourceExhausted => ErrorKind::RateLimited,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Details, status};

    #[test]
    fn details_are_translated_back() {
        for kind in ErrorKind::ALL {
            let details = Details::default().field("word", "must be another").retry_after(Duration::from_secs(3));
            let error = CallError::from(status(kind, "why", details));
            assert_eq!(error.kind(), kind);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
            assert_eq!(error.fields(), [("word".to_owned(), "must be another".to_owned())]);
        }
    }

    #[test]
    fn codes_of_other_servers_have_kinds_too() {
        for (code, kind) in [
            (Code::InvalidArgument, ErrorKind::Invalid),
            (Code::Unauthenticated, ErrorKind::Unauthenticated),
            (Code::ResourceExhausted, ErrorKind::RateLimited),
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::DeadlineExceeded, ErrorKind::Timeout),
            (Code::Unknown, ErrorKind::Internal),
        ] {
            let error = CallError::from(Status::new(code, "password=hunter2"));
            assert_eq!((error.kind(), error.retry_after()), (kind, None));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
