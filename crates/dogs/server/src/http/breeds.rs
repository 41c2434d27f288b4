//! Lists the breeds and the number of dogs of each.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;

use super::ApiContext;
use super::bodies::BreedListResponse;
use super::dogs::NO_CACHE;
use super::errors::ApiError;
use kennel_http::openapi::problems::Failures;

/// List the breeds
///
/// Every breed that the source of dogs or the store has. While the source is unavailable, only the breeds with dogs.
#[utoipa::path(
    get, path = "/api/v1/breeds", tag = "breeds", operation_id = "listBreeds",
    responses((status = 200, description = "The breeds, sorted by name.", body = BreedListResponse), Failures),
)]
pub(super) async fn breeds(State(context): State<Arc<ApiContext>>) -> Result<impl IntoResponse, ApiError> {
    let breeds = context.api.service.breeds().await?;
    let body = BreedListResponse { items: breeds.into_iter().map(Into::into).collect() };
    Ok(([(CACHE_CONTROL, NO_CACHE)], axum::Json(body)))
}
