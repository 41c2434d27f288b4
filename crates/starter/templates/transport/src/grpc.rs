//! The gRPC service `«ident».v1.NoteService`.

use kennel_core::Timestamp;
use kennel_grpc::{Reply, failed, items, page, respond, valid};
use tonic::Request;
use «ident»_domain::{Note, NoteService};
use «ident»_proto::v1::{self as pb, note_service_server::NoteService as Rpc};

/// The service over gRPC.
#[derive(Clone)]
pub struct NoteRpc(pub NoteService);

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
    async fn create_note(&self, new: Request<pb::CreateNoteRequest>) -> Reply<pb::CreateNoteResponse> {
        let note = self.0.create(valid("text", new.into_inner().text.try_into())?).await.map_err(failed)?;
        Ok(respond(pb::CreateNoteResponse { note: Some(message(note)) }))
    }

    async fn get_note(&self, request: Request<pb::GetNoteRequest>) -> Reply<pb::GetNoteResponse> {
        let note = self.0.get(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::GetNoteResponse { note: Some(message(note)) }))
    }

    async fn list_notes(&self, request: Request<pb::ListNotesRequest>) -> Reply<pb::ListNotesResponse> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let (notes, next_page_token) = items(self.0.list(after, size).await.map_err(failed)?, message);
        Ok(respond(pb::ListNotesResponse { notes, next_page_token }))
    }

    async fn delete_note(&self, request: Request<pb::DeleteNoteRequest>) -> Reply<pb::DeleteNoteResponse> {
        self.0.delete(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::DeleteNoteResponse {}))
    }
}
