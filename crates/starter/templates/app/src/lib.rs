//! The application `«app»`.

//% if consumers
use std::sync::Arc;

//% endif
//% if grpc
use kennel_grpc::GrpcServer;
//% endif
use kennel_service::{Context, EventSet, NoCommand, «% if rest %»OpenApiRouter, «% endif %»Service, Uses«% if modules %», Worker«% endif %»};
use kennel_storage::Migrations;
//% if grpc
use «ident»_transport::NoteRpc;
//% endif
use «ident»_domain::{NoteCreated, NoteService, SOURCE«% if consumers %», TOPIC«% endif %»};
//% if grpc
use «ident»_proto::v1::{FILE_DESCRIPTOR_SET, note_service_server::NoteServiceServer};
//% endif
//% if modules
use «ident»_workers::{«modules|join(", ")»};
//% endif

/// The application, as the platform runs it.
pub struct App(NoteService);

impl Service for App {
    const NAME: &'static str = "«app»";
    const ABOUT: &'static str = "«about»";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER)«uses»;
//% if consumers
    const CONSUMERS: &'static [&'static str] = &[«groups»];
//% endif

//% if rest
    type State = NoteService;
//% else
    type State = ();
//% endif
    type Config = ();
    type Command = NoCommand;

    fn migrations() -> Migrations {
        «ident»_storages::MIGRATIONS
    }

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a note").with::<NoteCreated>()
    }

//% if rest
    fn http() -> OpenApiRouter<NoteService> {
        «ident»_transport::routes()
    }

//% endif
    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let notes = «ident»_storages::notes(cx.database().await?);
        Ok(Self(NoteService::new(notes, cx.clock(), cx.ids(), kennel_service::current_trace)))
    }

//% if rest
    fn state(&self) -> NoteService {
        self.0.clone()
    }
//% else
    fn state(&self) {}
//% endif
//% if grpc

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(NoteServiceServer::new(NoteRpc(self.0.clone()))).descriptors(FILE_DESCRIPTOR_SET)
    }
//% endif
//% if modules

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
//% if not consumers
        let _ = cx;
//% endif
        Ok(vec![
//% for consumer in consumers
            cx.consumer("«app».«consumer.name»", TOPIC, Arc::new(«consumer.module»::«consumer.Name»Consumer(self.0.clone()))).await?,
//% endfor
//% for schedule in schedules
            Worker::new(«schedule.module»::«schedule.module»(self.0.clone())),
//% endfor
//% for daemon in daemons
            Worker::new(«daemon.module»::«daemon.Name»Daemon(self.0.clone())),
//% endfor
        ])
    }
//% endif
}
