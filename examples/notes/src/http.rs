//! The HTTP API.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use kennel_core::Timestamp;
use kennel_http::openapi::problems::{Failures, Invalid, InvalidBody, NotFound};
use kennel_http::{Json, PageParams, PageResponse, Path, Query, Reply, failed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Note, NoteId, NoteService, NoteText};

/// A note to create.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateNoteRequest {
    /// Its text: printable characters, not only spaces.
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    text: NoteText,
}

/// A note.
#[derive(Serialize, ToSchema)]
struct NoteResponse {
    id: Uuid,
    text: String,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<Note> for NoteResponse {
    fn from(note: Note) -> Self {
        Self { id: note.id.0, text: note.text.into(), created_at: note.created_at }
    }
}

/// Create a note
#[utoipa::path(post, path = "/api/v1/notes", operation_id = "createNote",
    responses((status = 201, body = NoteResponse), InvalidBody, Failures))]
pub(crate) async fn create(notes: State<NoteService>, new: Json<CreateNoteRequest>) -> Reply<impl IntoResponse> {
    Ok((StatusCode::CREATED, Body(NoteResponse::from(notes.create(new.0.text).await.map_err(failed)?))))
}

/// Get a note
#[utoipa::path(get, path = "/api/v1/notes/{id}", operation_id = "getNote",
    responses((status = 200, body = NoteResponse), (status = 404, response = NotFound), Failures))]
pub(crate) async fn get(notes: State<NoteService>, id: Path<NoteId>) -> Reply<impl IntoResponse> {
    Ok(Body(NoteResponse::from(notes.get(id.0).await.map_err(failed)?)))
}

/// List notes, newest first
#[utoipa::path(get, path = "/api/v1/notes", operation_id = "listNotes", params(PageParams),
    responses((status = 200, body = PageResponse<NoteResponse>), (status = 422, response = Invalid), Failures))]
pub(crate) async fn list(notes: State<NoteService>, page: Query<PageParams>) -> Reply<impl IntoResponse> {
    let page = notes.list(page.0.cursor()?, page.0.size()?).await.map_err(failed)?;
    Ok(Body(PageResponse::of(page, NoteResponse::from)))
}

/// Delete a note
#[utoipa::path(delete, path = "/api/v1/notes/{id}", operation_id = "deleteNote",
    responses((status = 204), (status = 404, response = NotFound), Failures))]
pub(crate) async fn delete(notes: State<NoteService>, id: Path<NoteId>) -> Reply<impl IntoResponse> {
    notes.delete(id.0).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
