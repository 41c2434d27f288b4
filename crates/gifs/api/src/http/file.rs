//! Delivers the files of GIFs, and ranges of them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kennel_core::ErrorKind;
use kennel_http::openapi::problems::{
    BadUpstream, Failures, Invalid, Malformed, NotFound, PreconditionFailed, RangeNotSatisfiable,
};
use kennel_http::range::{self, RangeHeaders, RangeRequest};
use kennel_http::{ETag, HttpError, IfMatch, IfNoneMatch, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::files::{StoredFile, Variant};
use crate::service::GifApi;

/// The file of a GIF never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// A file is opened as a page of its own at most: without scripts, and without access to our origin.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileParams {
    /// The original (the default), a still WebP image (`poster`), or a small GIF (`small`).
    #[serde(default)]
    #[param(inline)]
    variant: Variant,
}

/// The body of a file, for the description.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes the body")]
struct GifFile(Vec<u8>);

/// Download a file of a GIF
///
/// Supports a single range of bytes. A file that is being stored is 404 with `Retry-After`. The service may redirect to the
/// object store, except for the headers alone.
#[utoipa::path(get, path = "/api/v1/gifs/{id}/file", operation_id = "getGifFile",
    params(("id" = Uuid, Path, description = "The GIF's id."), FileParams, IfMatch, IfNoneMatch, RangeHeaders),
    responses(
        (status = 200, description = "The file.", content((GifFile = "image/gif"), (GifFile = "image/webp")), headers(
            ("ETag" = String, description = "The SHA-256 of the file."),
            ("Content-Length" = u64, description = "The length in bytes."),
            ("Accept-Ranges" = String, description = "`bytes`."),
        )),
        (status = 206, description = "The range.", content((GifFile = "image/gif"), (GifFile = "image/webp")), headers(
            ("ETag" = String, description = "The SHA-256 of the file."),
            ("Content-Range" = String, description = "The range, and the length of the file."),
        )),
        (status = 304, description = "The client has the file."),
        (status = 307, description = "The file is at the object store.", headers(
            ("Location" = String, description = "A URL that is valid for a limited time."),
        )),
        (status = 400, response = Malformed), (status = 404, response = NotFound),
        (status = 412, response = PreconditionFailed), (status = 416, response = RangeNotSatisfiable),
        (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
pub(crate) async fn file(
    State(api): State<GifApi>,
    method: Method,
    Path(id): Path<Uuid>,
    Query(params): Query<FileParams>,
    (expected, known, requested): (IfMatch, IfNoneMatch, RangeHeaders),
) -> Result<Response, HttpError> {
    let file = api.files.find(id, params.variant).await?;
    let tag = ETag::strong(&file.sha256).map_err(|error| HttpError::from_error(ErrorKind::BadUpstream, error))?;
    let tags = expected.revisions(|tag| Some(tag.to_owned()));
    if tags.is_some_and(|tags| !tags.contains(&file.sha256)) {
        return Err(HttpError::new(ErrorKind::PreconditionFailed).with_detail("the file is another one"));
    }
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, [(CACHE_CONTROL, IMMUTABLE)]).into_response());
    }
    if method != Method::HEAD
        && let Some((url, ttl)) = api.files.url(&file).await?
    {
        return redirect(&url, ttl);
    }
    match requested.resolve(&tag, file.size) {
        RangeRequest::Unsatisfiable => Ok(range::unsatisfiable(file.size)),
        // The object is not opened for the headers alone.
        RangeRequest::Full if method == Method::HEAD => content(&file, tag, file.size, Body::empty()),
        RangeRequest::Full => {
            let bytes = api.files.open(&file, None).await?;
            content(&file, tag, file.size, Body::from_stream(bytes))
        }
        RangeRequest::Partial(bytes) => {
            let length = bytes.end - bytes.start;
            let body = Body::from_stream(api.files.open(&file, Some(bytes.clone())).await?);
            Ok(range::partial(&bytes, file.size, content(&file, tag, length, body)?))
        }
    }
}

/// A redirect that is not cached longer than its URL is valid. A URL of GET is not valid for HEAD.
fn redirect(url: &str, ttl: Duration) -> Result<Response, HttpError> {
    let header =
        |text: &str| HeaderValue::from_str(text).map_err(|error| HttpError::from_error(ErrorKind::Internal, error));
    let max_age = format!("private, max-age={}", ttl.as_secs() / 2);
    let headers = [(LOCATION, header(url)?), (CACHE_CONTROL, header(&max_age)?)];
    Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
}

fn content(file: &StoredFile, tag: ETag, length: u64, body: Body) -> Result<Response, HttpError> {
    let content_type = HeaderValue::from_str(&file.content_type);
    let content_type = content_type.map_err(|error| HttpError::from_error(ErrorKind::BadUpstream, error))?;
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_LENGTH, HeaderValue::from(length)),
        (CACHE_CONTROL, IMMUTABLE),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((tag, headers, body).into_response())
}
