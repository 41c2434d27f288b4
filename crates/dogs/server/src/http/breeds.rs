//! The breeds, and how many dogs there are of each.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;

use super::Shared;
use super::documents::BreedsDocument;
use super::dogs::NO_CACHE;
use super::errors::ApiError;
use super::problems::Failures;

/// List the breeds
///
/// Every breed that the source of dogs or the store knows. While the source does not answer, the breeds that have dogs.
#[utoipa::path(
    get, path = "/api/v1/breeds", tag = "breeds", operation_id = "listBreeds",
    responses((status = 200, description = "The breeds, by name.", body = BreedsDocument), Failures),
)]
pub(super) async fn breeds(State(shared): State<Arc<Shared>>) -> Result<impl IntoResponse, ApiError> {
    let breeds = shared.api.service.breeds().await?;
    let body = BreedsDocument { items: breeds.into_iter().map(Into::into).collect() };
    Ok(([(CACHE_CONTROL, NO_CACHE)], axum::Json(body)))
}
