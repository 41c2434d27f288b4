//! The latest requests.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use kennel_http::openapi::problems::{Failures, Invalid};
use kennel_http::{HttpError, Json, PageParams, PageResponse, Query};

use super::NO_CACHE;
use crate::history::AnsweredRequest;
use crate::service::GifApi;

/// List the latest requests
///
/// What was asked for, and how it was answered, newest first: the latest 1,000 requests to this replica since it started.
#[utoipa::path(get, path = "/api/v1/requests", operation_id = "listRequests", params(PageParams), responses(
    (status = 200, body = PageResponse<AnsweredRequest>, description = "A page of requests."),
    (status = 422, response = Invalid), Failures))]
pub(crate) async fn list(api: State<GifApi>, page: Query<PageParams>) -> Result<impl IntoResponse, HttpError> {
    let page = api.history.list(page.0.cursor()?, page.0.size()?);
    Ok(([(CACHE_CONTROL, NO_CACHE)], Json(PageResponse::of(page, |request| request))))
}
