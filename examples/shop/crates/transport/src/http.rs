//! The HTTP API.

use axum::extract::State;
use axum::{Json as Body, http::StatusCode, response::IntoResponse};
use kennel_core::Timestamp;
use kennel_http::openapi::problems::{Failures, Invalid, InvalidBody, NotFound};
use kennel_http::{HttpError, Json, PageParams, PageResponse, Path, Query, failed};
use serde::{Deserialize, Serialize};
use shop_domain::{Item, ItemId, ItemService, ItemText};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// An item to create.
#[derive(Deserialize, ToSchema)]
struct CreateItemRequest {
    /// Its text: printable characters, not only spaces.
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    text: ItemText,
}

/// An item.
#[derive(Serialize, ToSchema)]
struct ItemResponse {
    id: Uuid,
    text: String,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<Item> for ItemResponse {
    fn from(item: Item) -> Self {
        Self { id: item.id.0, text: item.text.into(), created_at: item.created_at }
    }
}

/// The routes, with their descriptions.
pub fn routes() -> OpenApiRouter<ItemService> {
    OpenApiRouter::with_openapi(kennel_http::openapi::document("shop", "Items of a small shop"))
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// Create an item
#[utoipa::path(post, path = "/api/v1/items", operation_id = "createItem",
    responses((status = 201, body = ItemResponse), InvalidBody, Failures))]
async fn create(items: State<ItemService>, new: Json<CreateItemRequest>) -> Result<impl IntoResponse, HttpError> {
    Ok((StatusCode::CREATED, Body(ItemResponse::from(items.create(new.0.text).await.map_err(failed)?))))
}

/// Get an item
#[utoipa::path(get, path = "/api/v1/items/{id}", operation_id = "getItem",
    responses((status = 200, body = ItemResponse), (status = 404, response = NotFound), Failures))]
async fn get(items: State<ItemService>, id: Path<ItemId>) -> Result<impl IntoResponse, HttpError> {
    Ok(Body(ItemResponse::from(items.get(id.0).await.map_err(failed)?)))
}

/// List items, newest first
#[utoipa::path(get, path = "/api/v1/items", operation_id = "listItems", params(PageParams),
    responses((status = 200, body = PageResponse<ItemResponse>), (status = 422, response = Invalid), Failures))]
async fn list(items: State<ItemService>, page: Query<PageParams>) -> Result<impl IntoResponse, HttpError> {
    let page = items.list(page.0.cursor()?, page.0.size()?).await.map_err(failed)?;
    Ok(Body(PageResponse::of(page, ItemResponse::from)))
}

/// Delete an item
#[utoipa::path(delete, path = "/api/v1/items/{id}", operation_id = "deleteItem",
    responses((status = 204), (status = 404, response = NotFound), Failures))]
async fn delete(items: State<ItemService>, id: Path<ItemId>) -> Result<impl IntoResponse, HttpError> {
    items.delete(id.0).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
