//! Maps errors to statuses with `google.rpc` details.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use kennel_core::{Cursor, CursorKey, ErrorKind, Page, PageSize, ServiceError};
use kennel_net::{AccessDenied, RequestId};
use tonic::metadata::MetadataMap;
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::context::CallContext;

/// Default retry delay.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a method returns.
pub type Reply<T> = Result<Response<T>, Status>;

/// Details of a status, in addition to its kind and message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Invalid values: the name that the caller used, and what the value has to be.
    pub fields: Vec<(String, String)>,
    /// When to retry. Transient kinds have a default of one second.
    pub retry_after: Option<Duration>,
    /// A more specific code than that of the kind, as the reason of `ErrorInfo`.
    pub code: Option<&'static str>,
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

/// Creates a status with `ErrorInfo` (its reason is the kind's stable code, or a more specific one), with `RequestInfo` inside a call, and with
/// `details`. The caller sees `message` only if it is at fault; otherwise it sees a constant text.
pub fn status(kind: ErrorKind, message: impl Into<String>, details: Details) -> Status {
    let message = if kind.is_client() { message.into() } else { public_message(kind).to_owned() };
    let call = CallContext::current();
    let domain = call.as_ref().map_or("", |call| call.domain);
    let mut google = ErrorDetails::new();
    google.set_error_info(details.code.unwrap_or(kind.codes().code), domain, HashMap::new());
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

/// The status of an error of a service, for `map_err`; see [`fault`].
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
pub fn failed(error: impl ServiceError) -> Status {
    let details = Details { retry_after: error.retry_after(), ..Details::default() };
    fault(error.kind(), &error, details)
}

/// The status of a call that was refused before its handler. An error that is not the caller's fault is logged here.
pub(crate) fn denied(denied: &AccessDenied) -> Status {
    let details = Details { code: Some(denied.code()), ..Details::default() };
    let mut status = fault(denied.kind(), denied, details);
    if let Some(challenge) = denied.challenge().and_then(|value| value.to_str().ok()?.parse().ok()) {
        status.metadata_mut().insert(http::header::WWW_AUTHENTICATE.as_str(), challenge);
    }
    status
}

/// The kind of a status that a service of this platform created: the reason of its `ErrorInfo`, unless that is a more specific
/// code than that of a kind.
pub(crate) fn kind_of(status: &Status) -> Option<ErrorKind> {
    let kind = ErrorKind::of_code(&status.get_details_error_info()?.reason)?;
    (kind.codes().grpc == i32::from(status.code())).then_some(kind)
}

/// Creates the status of an invalid value in the request.
pub fn invalid(field: &'static str, reason: &dyn Display) -> Status {
    let details = Details::default().field(field, reason.to_string());
    status(ErrorKind::Invalid, format!("{field}: {reason}"), details)
}

/// The value of a field, or the status of an invalid one.
pub fn valid<T>(field: &'static str, value: Result<T, impl Display>) -> Result<T, Status> {
    value.map_err(|error| invalid(field, &error))
}

/// The value of a field that is empty if it is not set.
pub fn optional<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, Status> {
    valid(field, Some(text).filter(|text| !text.is_empty()).map(str::parse).transpose())
}

/// Parses the fields `page_size`, of which 0 means the default, and `page_token`, of which nothing means the first page.
pub fn page<K: CursorKey>(size: u32, token: &str) -> Result<(PageSize, Option<Cursor<K>>), Status> {
    let size = if size == 0 { Ok(PageSize::default()) } else { PageSize::new(size) };
    let after = optional("page_token", token)?;
    Ok((valid("page_size", size)?, after))
}

/// The items of a page, which `item` converts, and the field `next_page_token`, of which nothing means the last page.
pub fn items<D, T, K: CursorKey>(page: Page<D, K>, item: impl FnMut(D) -> T) -> (Vec<T>, String) {
    let next = page.next.map(|cursor| cursor.to_string());
    (page.items.into_iter().map(item).collect(), next.unwrap_or_default())
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
    use kennel_core::{IdSource as _, UuidV7};
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
    fn a_more_specific_code_does_not_change_the_kind() {
        let expired =
            |code| status(ErrorKind::Unauthenticated, "why", Details { code: Some(code), ..Details::default() });
        for code in ["expired", ErrorKind::Malformed.codes().code] {
            assert_eq!(expired(code).get_details_error_info().unwrap().reason, code);
            assert_eq!(crate::CallError::from(expired(code)).kind(), ErrorKind::Unauthenticated);
        }
    }

    #[test]
    fn errors_of_services_have_the_status_of_their_kind() {
        let conflict = failed(kennel_core::RepoError::Conflict);
        assert_eq!((conflict.code(), conflict.message()), (Code::AlreadyExists, "already exists"));
    }

    #[test]
    fn fields_are_parsed_or_named() {
        assert_eq!(valid("size", "7".parse::<u8>()).unwrap(), 7);
        let status = valid("size", "x".parse::<u8>()).unwrap_err();
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "size");
        assert_eq!(optional::<u8>("size", "").unwrap(), None);
        assert_eq!(optional::<u8>("size", "7").unwrap(), Some(7));
        assert_eq!(optional::<u8>("size", " ").unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_page_is_its_items_and_the_token_of_the_next_one() {
        let last: Page<u8> = Page { items: vec![1, 2], next: None };
        assert_eq!(items(last, u32::from), (vec![1, 2], String::new()));
        let cursor = Cursor(UuidV7.next());
        let (_, token) = items(Page { items: Vec::<u8>::new(), next: Some(cursor) }, u32::from);
        assert_eq!(page(0, &token).unwrap(), (PageSize::default(), Some(cursor)));
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
