//! The HTTP API.

use axum::extract::State;
use axum::{Json as Body, http::StatusCode, response::IntoResponse};
use kennel_http::openapi::problems::{Failures, Invalid, NotFound};
use kennel_http::{HttpError, Json, PageParams, PageResponse, Path, Query};
use kennel_service::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{CreateNoteRequest, NoteResponse};
use crate::domain::{NoteId, NoteService};

pub(crate) fn routes() -> OpenApiRouter<NoteService> {
    OpenApiRouter::with_openapi(kennel_http::openapi::document("Notes", "Notes, and their events."))
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// Create a note
#[utoipa::path(post, path = "/api/v1/notes", operation_id = "createNote",
    responses((status = 201, body = NoteResponse), (status = 422, response = Invalid), Failures))]
async fn create(notes: State<NoteService>, new: Json<CreateNoteRequest>) -> Result<impl IntoResponse, HttpError> {
    Ok((StatusCode::CREATED, Body(NoteResponse::from(notes.create(new.0.text).await?))))
}

/// Get a note
#[utoipa::path(get, path = "/api/v1/notes/{id}", operation_id = "getNote",
    responses((status = 200, body = NoteResponse), (status = 404, response = NotFound), Failures))]
async fn get(notes: State<NoteService>, id: Path<NoteId>) -> Result<impl IntoResponse, HttpError> {
    Ok(Body(NoteResponse::from(notes.get(id.0).await?)))
}

/// List notes, newest first
#[utoipa::path(get, path = "/api/v1/notes", operation_id = "listNotes", params(PageParams),
    responses((status = 200, body = PageResponse<NoteResponse>), (status = 422, response = Invalid), Failures))]
async fn list(notes: State<NoteService>, page: Query<PageParams>) -> Result<impl IntoResponse, HttpError> {
    Ok(Body(PageResponse::of(notes.list(page.0.cursor()?, page.0.size()?).await?, NoteResponse::from)))
}

/// Delete a note
#[utoipa::path(delete, path = "/api/v1/notes/{id}", operation_id = "deleteNote",
    responses((status = 204), (status = 404, response = NotFound), Failures))]
async fn delete(notes: State<NoteService>, id: Path<NoteId>) -> Result<impl IntoResponse, HttpError> {
    notes.delete(id.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
