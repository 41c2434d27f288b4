//! What clients see of a note, over HTTP and gRPC.

use kennel_core::Timestamp;
use kennel_grpc::{Details, fault};
use kennel_http::HttpError;
use kennel_proto::convert::timestamp;
use kennel_proto::notes::v1 as pb;
use serde::{Deserialize, Serialize};
use tonic::Status;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Note, NoteError, NoteText};

/// A note to create.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateNoteRequest {
    /// Its text: printable characters, not only spaces.
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    pub(crate) text: NoteText,
}

/// A note.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoteResponse {
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

impl From<Note> for pb::Note {
    fn from(note: Note) -> Self {
        let created_at = Some(timestamp(note.created_at.as_millis()));
        Self { id: note.id.to_string(), text: note.text.into(), created_at }
    }
}

impl From<NoteError> for HttpError {
    fn from(error: NoteError) -> Self {
        Self::from_error(error.kind(), error)
    }
}

impl From<NoteError> for Status {
    fn from(error: NoteError) -> Self {
        fault(error.kind(), &error, Details::default())
    }
}
