//! Stores the images of dogs, and serves them and ranges of them.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dogs_domain::service::Variant;
use dogs_domain::{DogError, DogId};
use kennel_core::objects::{ByteStream, ObjectMeta};
use kennel_http::openapi::problems::{self, Failures};
use kennel_http::range::{self, RangeHeaders, RangeRequest};
use kennel_http::{IfMatch, IfNoneMatch, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::ApiContext;
use super::bodies::DogResponse;
use super::conditional::{expected, image_tag};
use super::dogs::{NO_CACHE, dog_response};
use super::errors::ApiError;
use super::values::ImageFile;

/// The parameters of an image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImageParams {
    /// The stored image (`original`, the default), or its thumbnail (`thumbnail`).
    #[serde(default)]
    #[param(inline)]
    variant: ImageVariant,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ImageVariant {
    #[default]
    Original,
    Thumbnail,
}

impl From<ImageVariant> for Variant {
    fn from(variant: ImageVariant) -> Self {
        match variant {
            ImageVariant::Original => Self::Original,
            ImageVariant::Thumbnail => Self::Thumbnail,
        }
    }
}

/// Store the image of a dog
///
/// The body is the file; its first bytes determine the format. A thumbnail is created soon after.
#[utoipa::path(
    put, path = "/api/v1/dogs/{id}/photo", tag = "photos", operation_id = "putDogPhoto",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    request_body(description = "A JPEG, PNG, GIF or WebP file.", content(
        (ImageFile = "image/jpeg"), (ImageFile = "image/png"), (ImageFile = "image/gif"), (ImageFile = "image/webp"),
        (ImageFile = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "The dog with its image.", body = DogResponse, headers(
            ("ETag" = String, description = "The dog's revision, for the next `If-Match`."),
        )),
        (status = 404, response = problems::NotFound),
        (status = 412, response = problems::PreconditionFailed),
        problems::InvalidBody,
        Failures,
    ),
)]
pub(super) async fn put(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let is_image = |kind: &[u8]| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with(b"image/") || kind.starts_with(b"application/octet-stream")
    };
    if !headers.get(CONTENT_TYPE).is_none_or(|kind| is_image(kind.as_bytes())) {
        return Err(DogError::NotAPicture.into());
    }
    let image = read(body, &headers, context.api.service.max_picture_bytes()).await?;
    let dog = context.api.service.put_photo(DogId(id), image, &expected(&precondition)).await?;
    Ok(dog_response(&dog, &context)?.into_response())
}

/// Reads a body of at most `limit` bytes. Rejects a larger `Content-Length` without reading the body.
async fn read(body: Body, headers: &HeaderMap, limit: u64) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::from(DogError::PictureTooLarge { limit });
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let max = usize::try_from(limit).unwrap_or(usize::MAX);
    axum::body::to_bytes(body, max).await.map_err(|error| {
        if error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>) {
            too_large()
        } else {
            kennel_http::body::classify(&error).into()
        }
    })
}

/// Get the image of a dog
///
/// Supports a single range of bytes.
#[utoipa::path(
    get, path = "/api/v1/dogs/{id}/photo", tag = "photos", operation_id = "getDogPhoto",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        ImageParams,
        IfNoneMatch,
        RangeHeaders,
    ),
    responses(
        (status = 200, description = "The image.", content(
            (ImageFile = "image/jpeg"), (ImageFile = "image/png"), (ImageFile = "image/gif"), (ImageFile = "image/webp"),
        ), headers(
            ("ETag" = String, description = "Identifies the content of the image."),
            ("Content-Length" = u64, description = "The length in bytes."),
            ("Accept-Ranges" = String, description = "`bytes`."),
        )),
        (status = 206, description = "The requested range of the image.", content(
            (ImageFile = "image/jpeg"), (ImageFile = "image/png"), (ImageFile = "image/gif"), (ImageFile = "image/webp"),
        ), headers(
            ("ETag" = String, description = "Identifies the content of the image."),
            ("Content-Range" = String, description = "The range, and the length of the image."),
        )),
        (status = 304, description = "The client has the current version."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 416, response = problems::RangeNotSatisfiable),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn get(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<Uuid>,
    Query(params): Query<ImageParams>,
    known: IfNoneMatch,
    requested: RangeHeaders,
) -> Result<Response, ApiError> {
    let (service, variant) = (&context.api.service, params.variant.into());
    let tag = image_tag(&service.photo_key(DogId(id), variant).await?)?;
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, [(CACHE_CONTROL, NO_CACHE)]).into_response());
    }
    let (meta, full) = service.photo(DogId(id), variant, None).await?;
    match requested.resolve(&image_tag(&meta.key)?, meta.size) {
        RangeRequest::Full => image_response(&meta, meta.size, full),
        RangeRequest::Unsatisfiable => Ok(range::unsatisfiable(meta.size)),
        RangeRequest::Partial(bytes) => {
            let (partial_meta, partial) = service.photo(DogId(id), variant, Some(bytes.clone())).await?;
            if partial_meta.key != meta.key {
                // Another image was stored concurrently; return the complete image that the range was resolved against.
                return image_response(&meta, meta.size, full);
            }
            let response = image_response(&meta, bytes.end - bytes.start, partial)?;
            Ok(range::partial(&bytes, meta.size, response))
        }
    }
}

fn image_response(meta: &ObjectMeta, length: u64, content: ByteStream) -> Result<Response, ApiError> {
    let headers = [
        (CONTENT_LENGTH, HeaderValue::from(length)),
        (CACHE_CONTROL, NO_CACHE),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let content_type = [(CONTENT_TYPE, meta.content_type.clone())];
    Ok((image_tag(&meta.key)?, headers, content_type, Body::from_stream(content)).into_response())
}
