//! Errors as statuses with `google.rpc` details.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use kennel_core::ErrorKind;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::context::CallContext;

/// When to try again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a status tells beside its kind and message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Names of the values at fault, as the caller wrote them, and what each has to be.
    pub fields: Vec<(String, String)>,
    /// When to try again. Kinds that are transient tell one second without it.
    pub retry_after: Option<Duration>,
}

impl Details {
    /// Names one value at fault.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, reason: impl Into<String>) -> Self {
        self.fields.push((name.into(), reason.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

/// The status of a refusal. Carries `ErrorInfo` (reason: the kind's stable code), `RequestInfo` inside a call, and what
/// `details` hold. `message` reaches the caller when the kind is the caller's own fault; else the text is constant.
pub fn status(kind: ErrorKind, message: impl Into<String>, details: Details) -> Status {
    let message = if kind.is_client() { message.into() } else { public_message(kind).to_owned() };
    let call = CallContext::current();
    let domain = call.as_ref().map_or("", |call| call.domain);
    let mut google = ErrorDetails::new();
    google.set_error_info(kind.codes().code, domain, HashMap::new());
    if let Some(call) = &call {
        google.set_request_info(&*call.request_id, "");
    }
    for (field, reason) in details.fields {
        google.add_bad_request_violation(field, reason);
    }
    let retry_after = details.retry_after.or_else(|| kind.is_transient().then_some(RETRY_AFTER));
    if retry_after.is_some() {
        google.set_retry_info(retry_after);
    }
    Status::with_error_details_and_metadata(Code::from_i32(kind.codes().grpc), message, google, MetadataMap::new())
}

/// The status of an error that reached the transport. One that is not the caller's fault is logged here, with its
/// sources, and nowhere else; the caller learns its kind and the request's id.
pub fn fault(kind: ErrorKind, error: &(dyn Error + 'static), details: Details) -> Status {
    if !kind.is_client() {
        tracing::error!(error, code = kind.codes().code, request_id = crate::request_id().as_deref(), "call failed");
    }
    status(kind, error.to_string(), details)
}

/// What the caller learns of a fault that is not its own.
const fn public_message(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unsupported => "the service cannot do this as it is set up",
        ErrorKind::Overloaded => "the service has all the work it can hold",
        ErrorKind::Unavailable => "the service cannot do this at the moment",
        ErrorKind::BadUpstream => "a service that this one needs gave no usable answer",
        ErrorKind::Timeout => "the work did not end in time",
        _ => "internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code_and_reason() {
        for kind in ErrorKind::ALL {
            let status = status(kind, "why", Details::default());
            assert_eq!(i32::from(status.code()), kind.codes().grpc, "{kind:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, kind.codes().code);
            assert_eq!(status.get_details_retry_info().is_some(), kind.is_transient(), "{kind:?}");
            assert!(status.get_details_request_info().is_none(), "outside a call");
            assert_eq!(status.message() == "why", kind.is_client(), "{kind:?}");
            assert!(!status.message().is_empty());
        }
    }

    #[test]
    fn details_are_told() {
        let call = CallContext { request_id: "r-1".into(), domain: "dogs" };
        let details = Details::default().field("breed", "must be a word").retry_after(Duration::from_secs(3));
        let status = call.enter(|| status(ErrorKind::Invalid, "breed: must be a word", details));
        let told = status.get_error_details();
        let violation = &told.bad_request().unwrap().field_violations[0];
        assert_eq!((violation.field.as_str(), violation.description.as_str()), ("breed", "must be a word"));
        assert_eq!(told.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
        assert_eq!(told.error_info().unwrap().domain, "dogs");
        assert_eq!(told.request_info().unwrap().request_id, "r-1");
    }

    #[test]
    fn faults_keep_their_causes_from_the_caller() {
        let error = kennel_core::RepoError::Backend("password=hunter2".into());
        let status = fault(ErrorKind::Internal, &error, Details::default());
        assert_eq!(status.message(), "internal error");
        assert!(!format!("{status:?}").contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("storage"));
    }
}
