//! Maps errors to statuses with `google.rpc` details.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use kennel_core::page::InvalidCursor;
use kennel_core::{Cursor, CursorKey, ErrorKind, PageSize};
use kennel_net::RequestId;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::context::CallContext;

/// Default retry delay.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Details of a status, in addition to its kind and message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Invalid values: the name that the caller used, and what the value has to be.
    pub fields: Vec<(String, String)>,
    /// When to retry. Transient kinds have a default of one second.
    pub retry_after: Option<Duration>,
}

impl Details {
    /// Adds an invalid value.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, reason: impl Into<String>) -> Self {
        self.fields.push((name.into(), reason.into()));
        self
    }

    /// Sets when to retry.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

/// Creates a status with `ErrorInfo` (its reason is the kind's stable code), with `RequestInfo` inside a call, and with
/// `details`. The caller sees `message` only if it is at fault; otherwise it sees a constant text.
pub fn status(kind: ErrorKind, message: impl Into<String>, details: Details) -> Status {
    let message = if kind.is_client() { message.into() } else { public_message(kind).to_owned() };
    let call = CallContext::current();
    let domain = call.as_ref().map_or("", |call| call.domain);
    let mut google = ErrorDetails::new();
    google.set_error_info(kind.codes().code, domain, HashMap::new());
    if let Some(call) = &call {
        google.set_request_info(call.request.request_id().as_str(), "");
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

/// Creates the status of an error that reached the transport. An error that is not the caller's fault is logged here,
/// with its sources, and nowhere else; the caller sees only its kind and the request id.
pub fn fault(kind: ErrorKind, error: &(dyn Error + 'static), details: Details) -> Status {
    if !kind.is_client() {
        let id = crate::request_id();
        let id = id.as_ref().map(RequestId::as_str);
        tracing::error!(error, code = kind.codes().code, request_id = id, "call failed");
    }
    status(kind, error.to_string(), details)
}

/// The kind of a status that a service of this platform created: the reason of its `ErrorInfo`.
pub(crate) fn kind_of(status: &Status) -> Option<ErrorKind> {
    ErrorKind::of_code(&status.get_details_error_info()?.reason)
}

/// Creates the status of an invalid value in the request.
pub fn invalid(field: &'static str, reason: &dyn Display) -> Status {
    let details = Details::default().field(field, reason.to_string());
    status(ErrorKind::Invalid, format!("{field}: {reason}"), details)
}

/// Parses the fields `page_size`, of which 0 means the default, and `page_token`, of which nothing means the first page.
pub fn page<K: CursorKey>(size: u32, token: &str) -> Result<(PageSize, Option<Cursor<K>>), Status> {
    let size = if size == 0 { Ok(PageSize::default()) } else { PageSize::new(size) };
    let after = Some(token).filter(|token| !token.is_empty()).map(str::parse).transpose();
    let after = after.map_err(|error: InvalidCursor| invalid("page_token", &error))?;
    Ok((size.map_err(|error| invalid("page_size", &error))?, after))
}

/// The message that a caller sees if it is not at fault.
const fn public_message(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unsupported => "the service is not configured to support this",
        ErrorKind::Overloaded => "the service is overloaded",
        ErrorKind::Unavailable => "the service is temporarily unavailable",
        ErrorKind::BadUpstream => "an upstream service did not return a usable response",
        ErrorKind::Timeout => "the call did not complete in time",
        _ => "internal error",
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use kennel_core::UuidV7;
    use kennel_net::{RequestContext, request_id};

    use super::*;

    #[test]
    fn every_kind_has_its_code_and_reason() {
        for kind in ErrorKind::ALL {
            let status = status(kind, "why", Details::default());
            assert_eq!(i32::from(status.code()), kind.codes().grpc, "{kind:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, kind.codes().code);
            assert_eq!(status.get_details_retry_info().is_some(), kind.is_transient(), "{kind:?}");
            assert_eq!(kind_of(&status), Some(kind));
            assert!(status.get_details_request_info().is_none(), "outside a call");
            assert_eq!(status.message() == "why", kind.is_client(), "{kind:?}");
            assert!(!status.message().is_empty());
        }
    }

    #[test]
    fn details_are_sent() {
        let headers = HeaderMap::from_iter([(request_id::HEADER, HeaderValue::from_static("r-1"))]);
        let call = CallContext { request: RequestContext::new(RequestId::of(&headers, &UuidV7)), domain: "dogs" };
        let details = Details::default().field("breed", "must be a word").retry_after(Duration::from_secs(3));
        let status = call.enter(|| status(ErrorKind::Invalid, "breed: must be a word", details));
        let sent = status.get_error_details();
        let violation = &sent.bad_request().unwrap().field_violations[0];
        assert_eq!((violation.field.as_str(), violation.description.as_str()), ("breed", "must be a word"));
        assert_eq!(sent.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
        assert_eq!(sent.error_info().unwrap().domain, "dogs");
        assert_eq!(sent.request_info().unwrap().request_id, "r-1");
    }

    #[test]
    fn faults_hide_their_causes_from_the_caller() {
        let error = kennel_core::RepoError::Backend("password=hunter2".into());
        let status = fault(ErrorKind::Internal, &error, Details::default());
        assert_eq!(status.message(), "internal error");
        assert!(!format!("{status:?}").contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("storage"));
    }
}
