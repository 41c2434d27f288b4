//! The service, as the platform runs it.

use kennel_grpc::GrpcServer;
use kennel_proto::notes::v1::{FILE_DESCRIPTOR_SET, note_service_server::NoteServiceServer};
use kennel_service::{Context, EventSet, NoCommand, OpenApiRouter, Service, Uses};
use kennel_storage::Migrations;

use crate::domain::{NoteCreated, NoteService, SOURCE};
use crate::{http, repository};

/// Notes.
pub struct Notes(NoteService);

impl Service for Notes {
    const NAME: &'static str = "notes";
    const ABOUT: &'static str = "Notes, over HTTP and gRPC";
    const USES: Uses = Uses::HTTP.and(Uses::GRPC).and(Uses::STORAGE).and(Uses::BROKER);

    type State = NoteService;
    type Config = ();
    type Command = NoCommand;

    fn migrations() -> Migrations {
        repository::MIGRATIONS
    }

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a note").with::<NoteCreated>()
    }

    fn http() -> OpenApiRouter<NoteService> {
        http::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let notes = repository::notes(cx.database().await?);
        Ok(Self(NoteService::new(notes, cx.clock(), cx.ids(), kennel_service::current_trace)))
    }

    fn state(&self) -> NoteService {
        self.0.clone()
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(NoteServiceServer::new(self.0.clone())).descriptors(FILE_DESCRIPTOR_SET)
    }
}
