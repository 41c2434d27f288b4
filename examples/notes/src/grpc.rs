//! The gRPC service `notes.v1.NoteService`.

use kennel_grpc::{Reply, failed, items, page, respond, valid};
use kennel_proto::convert::timestamp;
use kennel_proto::notes::v1::{self as pb, note_service_server::NoteService as Rpc};
use tonic::Request;

use crate::domain::{Note, NoteService};

impl From<Note> for pb::Note {
    fn from(note: Note) -> Self {
        let created_at = Some(timestamp(note.created_at.as_millis()));
        Self { id: note.id.to_string(), text: note.text.into(), created_at }
    }
}

#[tonic::async_trait]
impl Rpc for NoteService {
    async fn create_note(&self, new: Request<pb::CreateNoteRequest>) -> Reply<pb::CreateNoteResponse> {
        let note = self.create(valid("text", new.into_inner().text.try_into())?).await.map_err(failed)?;
        Ok(respond(pb::CreateNoteResponse { note: Some(note.into()) }))
    }

    async fn get_note(&self, request: Request<pb::GetNoteRequest>) -> Reply<pb::GetNoteResponse> {
        let note = self.get(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::GetNoteResponse { note: Some(note.into()) }))
    }

    async fn list_notes(&self, request: Request<pb::ListNotesRequest>) -> Reply<pb::ListNotesResponse> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let (notes, next_page_token) = items(self.list(after, size).await.map_err(failed)?, pb::Note::from);
        Ok(respond(pb::ListNotesResponse { notes, next_page_token }))
    }

    async fn delete_note(&self, request: Request<pb::DeleteNoteRequest>) -> Reply<pb::DeleteNoteResponse> {
        self.delete(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::DeleteNoteResponse {}))
    }
}
