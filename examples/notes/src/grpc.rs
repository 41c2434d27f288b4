//! The gRPC service `notes.v1.NoteService`.

use kennel_grpc::{invalid, page, respond};
use kennel_proto::notes::v1::{self as pb, note_service_server::NoteService as Rpc};
use tonic::{Request, Response, Status};

use crate::domain::{InvalidNoteText, NoteId, NoteService};

fn note_id(text: &str) -> Result<NoteId, Status> {
    text.parse().map_err(|error: uuid::Error| invalid("id", &error))
}

#[tonic::async_trait]
impl Rpc for NoteService {
    async fn create_note(
        &self,
        new: Request<pb::CreateNoteRequest>,
    ) -> Result<Response<pb::CreateNoteResponse>, Status> {
        let text = new.into_inner().text.try_into().map_err(|error: InvalidNoteText| invalid("text", &error))?;
        Ok(respond(pb::CreateNoteResponse { note: Some(self.create(text).await?.into()) }))
    }

    async fn get_note(&self, request: Request<pb::GetNoteRequest>) -> Result<Response<pb::GetNoteResponse>, Status> {
        Ok(respond(pb::GetNoteResponse { note: Some(self.get(note_id(&request.get_ref().id)?).await?.into()) }))
    }

    async fn list_notes(
        &self,
        request: Request<pb::ListNotesRequest>,
    ) -> Result<Response<pb::ListNotesResponse>, Status> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let page = self.list(after, size).await?;
        let next_page_token = page.next.map(|cursor| cursor.to_string()).unwrap_or_default();
        Ok(respond(pb::ListNotesResponse { notes: page.items.into_iter().map(Into::into).collect(), next_page_token }))
    }

    async fn delete_note(
        &self,
        request: Request<pb::DeleteNoteRequest>,
    ) -> Result<Response<pb::DeleteNoteResponse>, Status> {
        self.delete(note_id(&request.get_ref().id)?).await?;
        Ok(respond(pb::DeleteNoteResponse {}))
    }
}
