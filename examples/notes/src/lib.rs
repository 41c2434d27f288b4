//! Notes: the smallest useful service on the platform, and the one to copy.

pub mod domain;
mod grpc;
mod http;
pub mod repository;

use kennel_proto::notes::v1::{FILE_DESCRIPTOR_SET, note_service_server::NoteServiceServer};
use kennel_service::{Context, EventSet, GrpcServer, Migrations, NoCommand, OpenApiRouter, Service, Uses, routes};

use crate::domain::{NoteCreated, SOURCE};
pub use domain::NoteService as Notes;

kennel_service::contract_test!(crate::Notes, "../..");

impl Service for Notes {
    const NAME: &'static str = "notes";
    const ABOUT: &'static str = "Notes, and their events";
    const USES: Uses = Uses::HTTP.and(Uses::GRPC).and(Uses::STORAGE).and(Uses::BROKER);
    const MIGRATIONS: Migrations = repository::MIGRATIONS;

    type State = Self;
    type Config = ();
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a note").with::<NoteCreated>()
    }

    fn http() -> OpenApiRouter<Self> {
        OpenApiRouter::default().routes(routes!(http::list, http::create)).routes(routes!(http::get, http::delete))
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        Ok(Self::new(repository::notes(cx.database().await?), cx.clock(), cx.ids(), kennel_service::current_trace))
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(NoteServiceServer::new(self.clone())).descriptors(FILE_DESCRIPTOR_SET)
    }
}
