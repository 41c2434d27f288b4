//! Responses that a client can revalidate.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kennel_core::ErrorKind;
use kennel_http::{ETag, HttpError, IfNoneMatch};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The newest candle changes all the time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Number of bytes of the digest in a tag.
const TAG_BYTES: usize = 16;

/// The body with a tag of its content, or 304 if the client has it. The tag is weak: proxies may compress the body.
pub(super) fn respond<T: Serialize>(known: &IfNoneMatch, body: &T) -> Result<Response, HttpError> {
    let body = serde_json::to_vec(body).map_err(|error| HttpError::from_error(ErrorKind::Internal, error))?;
    let mut digest = format!("{:x}", Sha256::digest(&body));
    digest.truncate(2 * TAG_BYTES);
    let tag = ETag::weak(digest)?;
    let cache = [(CACHE_CONTROL, NO_CACHE)];
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, cache).into_response());
    }
    Ok((tag, cache, [(CONTENT_TYPE, JSON)], body).into_response())
}
