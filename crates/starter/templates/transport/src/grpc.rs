//! The gRPC service `«ident».v1.NoteService`.

use kennel_core::Timestamp;
use kennel_grpc::{Details, fault, invalid, page, respond};
use tonic::{Request, Response, Status};
use «ident»_domain::{InvalidNoteText, Note, NoteError, NoteId, NoteService};
use «ident»_proto::v1::{self as pb, note_service_server::NoteService as Rpc};

/// The service over gRPC.
#[derive(Clone)]
pub struct NoteRpc(pub NoteService);

fn note_id(text: &str) -> Result<NoteId, Status> {
    text.parse().map_err(|error: uuid::Error| invalid("id", &error))
}

fn failed(error: &NoteError) -> Status {
    fault(error.kind(), error, Details::default())
}

fn message(note: Note) -> pb::Note {
    pb::Note { id: note.id.to_string(), text: note.text.into(), created_at: Some(timestamp(note.created_at)) }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

#[tonic::async_trait]
impl Rpc for NoteRpc {
    async fn create_note(
        &self,
        new: Request<pb::CreateNoteRequest>,
    ) -> Result<Response<pb::CreateNoteResponse>, Status> {
        let text = new.into_inner().text.try_into().map_err(|error: InvalidNoteText| invalid("text", &error))?;
        let created = self.0.create(text).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::CreateNoteResponse { note: Some(message(created)) }))
    }

    async fn get_note(&self, request: Request<pb::GetNoteRequest>) -> Result<Response<pb::GetNoteResponse>, Status> {
        let found = self.0.get(note_id(&request.get_ref().id)?).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::GetNoteResponse { note: Some(message(found)) }))
    }

    async fn list_notes(
        &self,
        request: Request<pb::ListNotesRequest>,
    ) -> Result<Response<pb::ListNotesResponse>, Status> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let page = self.0.list(after, size).await.map_err(|error| failed(&error))?;
        let next_page_token = page.next.map(|cursor| cursor.to_string()).unwrap_or_default();
        Ok(respond(pb::ListNotesResponse { notes: page.items.into_iter().map(message).collect(), next_page_token }))
    }

    async fn delete_note(
        &self,
        request: Request<pb::DeleteNoteRequest>,
    ) -> Result<Response<pb::DeleteNoteResponse>, Status> {
        self.0.delete(note_id(&request.get_ref().id)?).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::DeleteNoteResponse {}))
    }
}
