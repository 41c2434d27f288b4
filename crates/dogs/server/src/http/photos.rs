//! The pictures of dogs: store one, and hand it out whole or in part.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dogs_domain::service::Variant;
use dogs_domain::{DogError, DogId};
use kennel_core::objects::{ByteStream, ObjectMeta};
use kennel_http::{IfMatch, IfNoneMatch, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Shared;
use super::conditional::{expected, is_known, picture_tag};
use super::documents::DogDocument;
use super::dogs::{NO_CACHE, answer};
use super::errors::{ApiError, header_text};
use super::problems::{self, Failures};
use super::range::{Wanted, wanted};
use super::values::Picture;

/// Which picture.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PhotoParams {
    /// The picture as it was stored (`original`, the default), or its small copy (`thumbnail`).
    #[serde(default)]
    #[param(inline)]
    variant: PhotoVariant,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum PhotoVariant {
    #[default]
    Original,
    Thumbnail,
}

impl From<PhotoVariant> for Variant {
    fn from(variant: PhotoVariant) -> Self {
        match variant {
            PhotoVariant::Original => Self::Original,
            PhotoVariant::Thumbnail => Self::Thumbnail,
        }
    }
}

/// Which part of a picture.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct RangeParams {
    /// The part that is wanted: one range of bytes. Several at once, and what is no range of bytes, are ignored.
    #[param(rename = "Range", nullable = false, pattern = r"^[\t -~]*$", example = "bytes=0-1023")]
    range: Option<String>,
    /// The entity tag that `Range` is about.
    #[param(rename = "If-Range", nullable = false, pattern = r"^[\t -~]*$")]
    if_range: Option<String>,
}

/// Store a dog's picture
///
/// The body is the file itself, and its first bytes decide the format. A small copy is made soon after.
#[utoipa::path(
    put, path = "/api/v1/dogs/{id}/photo", tag = "photos", operation_id = "putDogPhoto",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    request_body(description = "A JPEG, PNG, GIF or WebP file.", content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/gif"), (Picture = "image/webp"),
        (Picture = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "The dog with its picture.", body = DogDocument, headers(
            ("ETag" = String, description = "The dog's revision, for the next `If-Match`."),
        )),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 412, response = problems::PreconditionFailed),
        (status = 413, response = problems::TooLarge),
        (status = 408, response = problems::ClientTimeout),
        (status = 415, response = problems::UnsupportedMediaType),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let is_picture = |kind: &[u8]| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with(b"image/") || kind.starts_with(b"application/octet-stream")
    };
    if !headers.get(CONTENT_TYPE).is_none_or(|kind| is_picture(kind.as_bytes())) {
        return Err(DogError::NotAPicture.into());
    }
    let picture = read(body, &headers, shared.api.service.max_picture_bytes()).await?;
    let dog = shared.api.service.put_photo(DogId(id), picture, &expected(precondition)).await?;
    Ok(answer(&dog, &shared)?.into_response())
}

/// Reads no more than `limit` bytes, and nothing of a body that says it is longer.
async fn read(body: Body, headers: &HeaderMap, limit: u64) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::from(DogError::PictureTooLarge { limit });
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    axum::body::to_bytes(body, most).await.map_err(|error| {
        if error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>) {
            too_large()
        } else {
            kennel_http::body::classify(&error).into()
        }
    })
}

/// Get a dog's picture
///
/// One range of bytes can be asked for.
#[utoipa::path(
    get, path = "/api/v1/dogs/{id}/photo", tag = "photos", operation_id = "getDogPhoto",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        PhotoParams,
        IfNoneMatch,
        RangeParams,
    ),
    responses(
        (status = 200, description = "The picture.", content(
            (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/gif"), (Picture = "image/webp"),
        ), headers(
            ("ETag" = String, description = "Names the picture's content."),
            ("Content-Length" = u64, description = "Its length in bytes."),
            ("Accept-Ranges" = String, description = "`bytes`."),
        )),
        (status = 206, description = "The part of the picture that was asked for.", content(
            (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/gif"), (Picture = "image/webp"),
        ), headers(
            ("ETag" = String, description = "Names the picture's content."),
            ("Content-Range" = String, description = "Which part of how many bytes it is."),
        )),
        (status = 304, description = "The caller has it already."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 416, response = problems::RangeNotSatisfiable),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    Query(params): Query<PhotoParams>,
    known: IfNoneMatch,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = asked(&method, &headers)?;
    let (service, variant) = (&shared.api.service, params.variant.into());
    let tag = picture_tag(&service.photo_key(DogId(id), variant).await?)?;
    if is_known(&known, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, [(CACHE_CONTROL, NO_CACHE)]).into_response());
    }
    let (meta, whole) = service.photo(DogId(id), variant, None).await?;
    match part(&asked, &meta)? {
        Wanted::Whole => picture(&meta, meta.size, whole),
        Wanted::Unsatisfiable => Err(ApiError::RangeNotSatisfiable { size: meta.size }),
        Wanted::Part(range) => {
            let (again, part) = service.photo(DogId(id), variant, Some(range.clone())).await?;
            if again.key != meta.key {
                // Another picture was stored meanwhile; the one that the range was measured against is still at hand.
                return picture(&meta, meta.size, whole);
            }
            let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size);
            let content = picture(&meta, range.end - range.start, part)?;
            Ok((StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, shown)], content).into_response())
        }
    }
}

/// What a caller asks for a part with.
#[derive(Default)]
struct Asked<'a> {
    range: Option<&'a str>,
    if_range: Option<&'a str>,
}

/// Reads `Range` and `If-Range`; nothing for HEAD: only GET knows ranges (RFC 9110, section 14.2).
fn asked<'a>(method: &Method, headers: &'a HeaderMap) -> Result<Asked<'a>, ApiError> {
    if method != Method::GET {
        return Ok(Asked::default());
    }
    Ok(Asked { range: header_text(headers, &RANGE)?, if_range: header_text(headers, &IF_RANGE)? })
}

/// The part that is wanted; the whole where `If-Range` names another picture.
fn part(asked: &Asked<'_>, meta: &ObjectMeta) -> Result<Wanted, ApiError> {
    let tag = picture_tag(&meta.key)?.to_string();
    let range = asked.range.filter(|_| asked.if_range.is_none_or(|given| given == tag));
    Ok(wanted(range, meta.size))
}

fn picture(meta: &ObjectMeta, length: u64, content: ByteStream) -> Result<Response, ApiError> {
    let headers = [
        (CONTENT_LENGTH, HeaderValue::from(length)),
        (CACHE_CONTROL, NO_CACHE),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let content_type = [(CONTENT_TYPE, meta.content_type.clone())];
    Ok((picture_tag(&meta.key)?, headers, content_type, Body::from_stream(content)).into_response())
}
