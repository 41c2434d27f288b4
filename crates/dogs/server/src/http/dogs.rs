//! Dogs: fetch, list, create, read, update and delete them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dogs_domain::ports::IdempotencyKey;
use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, Dog, DogId};
use kennel_core::{ErrorKind, Order};
use kennel_http::openapi::problems::{self, Failures};
use kennel_http::page::{page_cursor, page_size};
use kennel_http::{HttpError, IfMatch, IfNoneMatch, Json, Path, Query, header_text};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::ApiContext;
use super::bodies::{CreateDogRequest, DogImageResponse, DogPageResponse, DogResponse, UpdateDogRequest, parse_breed};
use super::conditional::{dog_tag, expected};
use super::errors::ApiError;
use super::values::BreedName;

/// Set on the response when an earlier request with the same key created the dog.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Fetch a random image of a breed
///
/// Fetches an image from the source of dogs, stores it and creates a dog with it. Every call creates a dog.
#[utoipa::path(
    get, path = "/api/v1/dogs/{breed}/image", tag = "dogs", operation_id = "fetchDogImage",
    params(("breed" = String, Path, description = "The breed; `GET /api/v1/breeds` lists them.", example = "husky")),
    responses(
        (status = 200, description = "The image was stored and a dog created.", body = DogImageResponse),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 502, response = problems::BadUpstream),
        Failures,
    ),
)]
pub(super) async fn fetch(
    State(context): State<Arc<ApiContext>>,
    Path(breed): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    fetch_breed(&context, &breed).await
}

/// Fetch a random image of a sub-breed
///
/// The same as `/api/v1/dogs/{breed}-{sub_breed}/image`.
#[utoipa::path(
    get, path = "/api/v1/dogs/{breed}/{sub_breed}/image", tag = "dogs", operation_id = "fetchSubBreedImage",
    params(
        ("breed" = String, Path, description = "The breed.", example = "hound"),
        ("sub_breed" = String, Path, description = "The sub-breed.", example = "afghan"),
    ),
    responses(
        (status = 200, description = "The image was stored and a dog created.", body = DogImageResponse),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 502, response = problems::BadUpstream),
        Failures,
    ),
)]
pub(super) async fn fetch_sub(
    State(context): State<Arc<ApiContext>>,
    Path((breed, sub)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    fetch_breed(&context, &format!("{breed}-{sub}")).await
}

async fn fetch_breed(context: &ApiContext, breed: &str) -> Result<impl IntoResponse + use<>, ApiError> {
    // Invalid breed names are not found, like unknown breeds.
    let breed: Breed =
        breed.parse().map_err(|_| HttpError::new(ErrorKind::NotFound).with_detail("there is no such breed"))?;
    let dog = context.api.service.fetch(&breed).await?;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(DogImageResponse::new(&dog, &context.urls))))
}

/// The parameters of a list of dogs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only dogs of exactly this breed.
    #[param(value_type = Option<BreedName>, example = "husky")]
    breed: Option<String>,
    /// Maximum number of dogs.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// The start of the page: `next` of the previous page.
    #[param(format = "cursor")]
    cursor: Option<String>,
    /// Newest first (`desc`, the default) or oldest first (`asc`).
    #[serde(default)]
    #[param(inline)]
    order: Direction,
}

/// The order of a list, by age.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// Oldest first.
    Asc,
    /// Newest first.
    #[default]
    Desc,
}

/// List dogs
///
/// Pages start after a dog, not at an offset: concurrent writes cause no missing or repeated dogs.
#[utoipa::path(
    get, path = "/api/v1/dogs", tag = "dogs", operation_id = "listDogs",
    params(ListParams),
    responses(
        (status = 200, description = "A page of dogs.", body = DogPageResponse, headers(
            ("Link" = String, description = "`rel=\"first\"`, and `rel=\"next\"` when more dogs follow (RFC 8288)."),
        )),
        (status = 400, response = problems::Malformed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn list(
    State(context): State<Arc<ApiContext>>,
    Query(params): Query<ListParams>,
) -> Result<impl IntoResponse, ApiError> {
    let breed = params.breed.as_deref().map(parse_breed).transpose()?;
    let (size, cursor) = (page_size(params.limit)?, page_cursor(params.cursor.as_deref())?);
    let order = match params.order {
        Direction::Asc => Order::Ascending,
        Direction::Desc => Order::Descending,
    };
    let page = context.api.service.list(breed.clone(), cursor, order, size).await?;
    let target = |cursor| context.urls.page(breed.as_ref(), order, size, cursor);
    let mut links = kennel_http::LinkHeader::new().with("first", target(None));
    if page.next.is_some() {
        links = links.with("next", target(page.next));
    }
    let body = DogPageResponse {
        items: page.items.iter().map(|dog| DogResponse::new(dog, &context.urls)).collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    };
    Ok((links, [(CACHE_CONTROL, NO_CACHE)], axum::Json(body)))
}

/// The idempotency key of a request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct KeyParams {
    /// Identifies this request, so that it can be retried: 1 to 255 visible ASCII characters.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]*$")]
    key: Option<String>,
}

/// Create a dog
///
/// With an `Idempotency-Key` the request can be retried: the response has the dog that the first request created.
#[utoipa::path(
    post, path = "/api/v1/dogs", tag = "dogs", operation_id = "createDog",
    params(KeyParams),
    request_body = CreateDogRequest,
    responses(
        (status = 201, description = "The dog was created.", body = DogResponse, headers(
            ("Location" = String, description = "The URL of the dog."),
            ("ETag" = String, description = "The dog's revision, for `If-Match`."),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request with the key created it."),
        )),
        problems::InvalidBody,
        Failures,
    ),
)]
pub(super) async fn create(
    State(context): State<Arc<ApiContext>>,
    headers: HeaderMap,
    Json(request): Json<CreateDogRequest>,
) -> Result<Response, ApiError> {
    let new = NewDog::try_from(request)?;
    let key = header_text(&headers, &IDEMPOTENCY_KEY)?;
    let key = key.map(|key| IdempotencyKey::new(key, &new)).transpose()?;
    let created = context.api.service.create(new, key.as_ref()).await?;
    let location = [(LOCATION, context.urls.dog(created.dog.id))];
    let mut response = (StatusCode::CREATED, location, dog_response(&created.dog, &context)?).into_response();
    if created.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Read a dog
#[utoipa::path(
    get, path = "/api/v1/dogs/{id}", tag = "dogs", operation_id = "getDog",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfNoneMatch,
    ),
    responses(
        (status = 200, description = "The dog.", body = DogResponse, headers(
            ("ETag" = String, description = "The dog's revision, followed by `t` once its thumbnail exists."),
        )),
        (status = 304, description = "The client has the current version."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn get(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<Uuid>,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let dog = context.api.service.get(DogId(id)).await?;
    let tag = dog_tag(&dog)?;
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, [(CACHE_CONTROL, NO_CACHE)]).into_response());
    }
    Ok(dog_response(&dog, &context)?.into_response())
}

/// Update a dog
///
/// A JSON merge patch: a missing field is unchanged, null removes the value.
#[utoipa::path(
    patch, path = "/api/v1/dogs/{id}", tag = "dogs", operation_id = "updateDog",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    request_body(content((UpdateDogRequest = "application/merge-patch+json"), (UpdateDogRequest = "application/json"))),
    responses(
        (status = 200, description = "The updated dog.", body = DogResponse, headers(
            ("ETag" = String, description = "The dog's revision, for the next `If-Match`."),
        )),
        (status = 404, response = problems::NotFound),
        (status = 412, response = problems::PreconditionFailed),
        problems::InvalidBody,
        Failures,
    ),
)]
pub(super) async fn update(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
    Json(request): Json<UpdateDogRequest>,
) -> Result<Response, ApiError> {
    let patch = DogPatch::try_from(request)?;
    let dog = context.api.service.update(DogId(id), &patch, &expected(&precondition)).await?;
    Ok(dog_response(&dog, &context)?.into_response())
}

/// Delete a dog
#[utoipa::path(
    delete, path = "/api/v1/dogs/{id}", tag = "dogs", operation_id = "deleteDog",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    responses(
        (status = 204, description = "The dog was deleted."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 412, response = problems::PreconditionFailed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn delete(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
) -> Result<StatusCode, ApiError> {
    context.api.service.delete(DogId(id), &expected(&precondition)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Responses may be stored, but must be revalidated before use.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// The response with a dog and its entity tag.
pub(super) fn dog_response(dog: &Dog, context: &ApiContext) -> Result<impl IntoResponse + use<>, ApiError> {
    let body = DogResponse::new(dog, &context.urls);
    Ok((dog_tag(dog)?, [(CACHE_CONTROL, NO_CACHE)], axum::Json(body)))
}
