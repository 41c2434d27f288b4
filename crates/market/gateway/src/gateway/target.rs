//! What a request is for, and whether it may be forwarded at all.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use kennel_core::ErrorKind;
use kennel_http::HttpError;

use crate::body::TooLarge;
use crate::path::{MAX_TARGET_BYTES, normalize};
use crate::refusal::Refusal;
use crate::routes::Route;

const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// Refuses requests whose target or host could be understood in several ways, and methods that end here.
pub(super) fn check_target(request: &Request) -> Result<(), HttpError> {
    let malformed = |detail: &str| Err(HttpError::new(ErrorKind::Malformed).with_detail(detail));
    let (uri, headers) = (request.uri(), request.headers());
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(ErrorKind::MethodNotAllowed.into());
    }
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET_BYTES) {
        return malformed("the target of the request is too long");
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return malformed("there is more than one host");
    }
    match (host, uri.authority()) {
        (None, None) if request.version() != Version::HTTP_10 => malformed("there is no host"),
        (Some(host), Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            malformed("the host is not that of the target")
        }
        _ => Ok(()),
    }
}

/// The target that is looked up, authorised and forwarded.
pub(super) fn target(uri: &Uri) -> Result<PathAndQuery, HttpError> {
    let path = normalize(uri.path())?;
    let unchanged = matches!(path, std::borrow::Cow::Borrowed(_));
    if let Some(target) = uri.path_and_query().filter(|_| unchanged) {
        return Ok(target.clone());
    }
    let target = uri.query().map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    target.parse().map_err(|error| HttpError::from_error(ErrorKind::Malformed, error))
}

pub(super) fn not_allowed(methods: &[&str]) -> Refusal {
    let allow = HeaderValue::try_from(methods.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""));
    Refusal::from(ErrorKind::MethodNotAllowed).with_header(ALLOW, allow)
}

/// The response to an `OPTIONS` that must not be forwarded any more; otherwise counts this hop (RFC 9110, section 7.6.2).
pub(super) fn last_hop(request: &mut Request, route: &Route) -> Option<Response> {
    if *request.method() != Method::OPTIONS {
        return None;
    }
    let left: u32 = request.headers().get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    let Some(left) = left.checked_sub(1) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let methods: Vec<_> = route.methods.iter().map(Method::as_str).collect();
        response.headers_mut().insert(ALLOW, HeaderValue::try_from(methods.join(", ")).ok()?);
        return Some(response);
    };
    request.headers_mut().insert(MAX_FORWARDS, left.into());
    None
}

pub(super) fn check_length(request: &Request, route: &Route) -> Result<(), HttpError> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > route.body_limit) {
        let detail = TooLarge(route.body_limit).to_string();
        return Err(HttpError::new(ErrorKind::TooLarge).with_detail(detail));
    }
    Ok(())
}
