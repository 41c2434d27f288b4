//! Dogs: fetch, list, make, read, change and remove them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dogs_domain::ports::IdempotencyKey;
use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, Dog, DogError, DogId};
use kennel_core::{Cursor, ErrorKind, Order, PageSize};
use kennel_http::{HttpError, IfMatch, IfNoneMatch, Json, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Shared;
use super::conditional::{dog_tag, expected, is_known};
use super::documents::{ChangesDocument, DogDocument, ImageDocument, NewDogDocument, PageDocument, parse_breed};
use super::errors::{ApiError, header_text};
use super::problems::{self, Failures};
use super::values::BreedName;

/// Tells that an earlier request with the same key made the dog.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Fetch a random picture of a breed
///
/// Finds a picture at the source of dogs, keeps it and records a dog with it. Every call makes a dog.
#[utoipa::path(
    get, path = "/api/v1/dogs/{breed}/image", tag = "dogs", operation_id = "fetchDogImage",
    params(("breed" = String, Path, description = "The breed; `GET /api/v1/breeds` lists them.", example = "husky")),
    responses(
        (status = 200, description = "The picture is kept and a dog recorded.", body = ImageDocument),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 502, response = problems::BadUpstream),
        Failures,
    ),
)]
pub(super) async fn fetch(
    State(shared): State<Arc<Shared>>,
    Path(breed): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    fetch_breed(&shared, &breed).await
}

/// Fetch a random picture of a sub-breed
///
/// The same as `/api/v1/dogs/{breed}-{sub_breed}/image`.
#[utoipa::path(
    get, path = "/api/v1/dogs/{breed}/{sub_breed}/image", tag = "dogs", operation_id = "fetchSubBreedImage",
    params(
        ("breed" = String, Path, description = "The breed.", example = "hound"),
        ("sub_breed" = String, Path, description = "The sub-breed.", example = "afghan"),
    ),
    responses(
        (status = 200, description = "The picture is kept and a dog recorded.", body = ImageDocument),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 502, response = problems::BadUpstream),
        Failures,
    ),
)]
pub(super) async fn fetch_sub(
    State(shared): State<Arc<Shared>>,
    Path((breed, sub)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    fetch_breed(&shared, &format!("{breed}-{sub}")).await
}

async fn fetch_breed(shared: &Shared, breed: &str) -> Result<impl IntoResponse + use<>, ApiError> {
    // Text that cannot name a breed is as unknown as a breed that nobody has.
    let breed: Breed =
        breed.parse().map_err(|_| HttpError::new(ErrorKind::NotFound).with_detail("there is no such breed"))?;
    let dog = shared.api.service.fetch(&breed).await?;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(ImageDocument::new(&dog, &shared.links))))
}

/// Which page of dogs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only dogs of exactly this breed.
    #[param(value_type = Option<BreedName>, example = "husky")]
    breed: Option<String>,
    /// How many dogs at most.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page starts: `next` of the page before it.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
    /// Newest first (`desc`, the default) or oldest first (`asc`).
    #[serde(default)]
    #[param(inline)]
    order: Direction,
}

/// Which way a listing runs, by age.
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
/// Pages start behind a dog, never at an offset: nothing is missed or repeated while others write.
#[utoipa::path(
    get, path = "/api/v1/dogs", tag = "dogs", operation_id = "listDogs",
    params(ListParams),
    responses(
        (status = 200, description = "A page of dogs.", body = PageDocument, headers(
            ("Link" = String, description = "`rel=\"first\"`, and `rel=\"next\"` when more dogs follow (RFC 8288)."),
        )),
        (status = 400, response = problems::Malformed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(params): Query<ListParams>,
) -> Result<impl IntoResponse, ApiError> {
    let breed = params.breed.as_deref().map(parse_breed).transpose()?;
    let invalid = |field, error: &dyn std::error::Error| DogError::invalid(field, error.to_string());
    let size = params.limit.map_or(Ok(PageSize::default()), PageSize::new).map_err(|e| invalid("limit", &e))?;
    let cursor = params.cursor.as_deref().map(str::parse::<Cursor>).transpose().map_err(|e| invalid("cursor", &e))?;
    let order = match params.order {
        Direction::Asc => Order::Ascending,
        Direction::Desc => Order::Descending,
    };
    let page = shared.api.service.list(breed.clone(), cursor, order, size).await?;
    let target = |cursor| shared.links.page(breed.as_ref(), order, size, cursor);
    let mut links = kennel_http::LinkHeader::new().with("first", target(None));
    if page.next.is_some() {
        links = links.with("next", target(page.next));
    }
    let body = PageDocument {
        items: page.items.iter().map(|dog| DogDocument::new(dog, &shared.links)).collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    };
    Ok((links, [(CACHE_CONTROL, NO_CACHE)], axum::Json(body)))
}

/// The name of a request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct KeyParams {
    /// The caller's name for this request: 1 to 255 visible ASCII characters.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]*$")]
    key: Option<String>,
}

/// Make a dog
///
/// With an `Idempotency-Key` the same request can be sent again: it answers what the first one made.
#[utoipa::path(
    post, path = "/api/v1/dogs", tag = "dogs", operation_id = "createDog",
    params(KeyParams),
    request_body = NewDogDocument,
    responses(
        (status = 201, description = "The dog is made.", body = DogDocument, headers(
            ("Location" = String, description = "Where the dog is."),
            ("ETag" = String, description = "The dog's revision, for `If-Match`."),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request with the key made it."),
        )),
        (status = 400, response = problems::Malformed),
        (status = 413, response = problems::TooLarge),
        (status = 408, response = problems::ClientTimeout),
        (status = 415, response = problems::UnsupportedMediaType),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(document): Json<NewDogDocument>,
) -> Result<Response, ApiError> {
    let new = NewDog::try_from(document)?;
    let key = header_text(&headers, &IDEMPOTENCY_KEY)?;
    let key = key.map(|key| IdempotencyKey::new(key, &new)).transpose()?;
    let created = shared.api.service.create(new, key.as_ref()).await?;
    let location = [(LOCATION, shared.links.dog(created.dog.id))];
    let mut response = (StatusCode::CREATED, location, answer(&created.dog, &shared)?).into_response();
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
        (status = 200, description = "The dog.", body = DogDocument, headers(
            ("ETag" = String, description = "The dog's revision, followed by `t` once its thumbnail is there."),
        )),
        (status = 304, description = "The caller has it already."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let dog = shared.api.service.get(DogId(id)).await?;
    let tag = dog_tag(&dog)?;
    if is_known(&known, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, [(CACHE_CONTROL, NO_CACHE)]).into_response());
    }
    Ok(answer(&dog, &shared)?.into_response())
}

/// Change a dog
///
/// A JSON merge patch: a missing field stays as it is, null takes it away.
#[utoipa::path(
    patch, path = "/api/v1/dogs/{id}", tag = "dogs", operation_id = "updateDog",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    request_body(content((ChangesDocument = "application/merge-patch+json"), (ChangesDocument = "application/json"))),
    responses(
        (status = 200, description = "The dog as it is now.", body = DogDocument, headers(
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
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
    Json(document): Json<ChangesDocument>,
) -> Result<Response, ApiError> {
    let patch = DogPatch::try_from(document)?;
    let dog = shared.api.service.update(DogId(id), &patch, &expected(precondition)).await?;
    Ok(answer(&dog, &shared)?.into_response())
}

/// Remove a dog
#[utoipa::path(
    delete, path = "/api/v1/dogs/{id}", tag = "dogs", operation_id = "deleteDog",
    params(
        ("id" = Uuid, Path, description = "The dog's id."),
        IfMatch,
    ),
    responses(
        (status = 204, description = "The dog is gone."),
        (status = 400, response = problems::Malformed),
        (status = 404, response = problems::NotFound),
        (status = 412, response = problems::PreconditionFailed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    precondition: IfMatch,
) -> Result<StatusCode, ApiError> {
    shared.api.service.delete(DogId(id), &expected(precondition)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers may be kept, but not used without asking again.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// The dog with its entity tag.
pub(super) fn answer(dog: &Dog, shared: &Shared) -> Result<impl IntoResponse + use<>, ApiError> {
    let document = DogDocument::new(dog, &shared.links);
    Ok((dog_tag(dog)?, [(CACHE_CONTROL, NO_CACHE)], axum::Json(document)))
}
