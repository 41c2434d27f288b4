//! The application `«app»`.

//% if settings
mod settings;

//% endif
//% if cli
use std::process::ExitCode;
//% endif
//% if consumers or api or runs or objects
use std::sync::Arc;
//% endif
//% if cli or consumers or api or runs or objects

//% endif
//% if objects
use kennel_core::ObjectStore;
//% endif
//% if rpc
use kennel_grpc::«% if channels %»{GrpcChannel, GrpcServer}«% else %»GrpcServer«% endif %»;
//% endif
use kennel_service::{Context, EventSet, «% if http %»FromRef, «% endif %»«% if not cli %»NoCommand, «% endif %»«% if http %»OpenApiRouter, «% endif %»Service, Uses«% if modules or any_custom %», Worker«% endif %»};
use kennel_storage::Migrations;
//% if any_telegram
use kennel_telegram::Bot;
//% endif
//% if grpc
use «ident»_transport::NoteRpc;
//% endif
//% if cli
use «ident»_transport::«cli.module»::{«cli.Name»Cli, commands};
//% endif
//% for event in produced
use «ident»_contracts::«event.set»::«event.module»::«event.ty»;
//% endfor
//% for producer in producers
use «ident»_domain::«producer.module»::«producer.Name»Producer;
//% endfor
//% for queue in adds
use «ident»_domain::«queue.module»::«queue.Name»Queue;
//% endfor
//% for driver in drivers if driver.kind == "custom"
use «ident»_drivers::«driver.module»::«driver.Name»Driver;
//% endfor
//% for client in clients
use «ident»_clients::«client.module»::«client.Name»Client;
//% endfor
//% if proto
use «ident»_proto::FILE_DESCRIPTOR_SET;
//% for service in services
use «ident»_proto::«service.server»::«service.name»Server;
//% endfor
//% for channel in channels
use «ident»_proto::«channel.service.client»::«channel.service.name»Client;
//% endfor
use «ident»_transport::«proto.module»::«proto.Name»Rpc;
//% endif
//% if api
use «ident»_domain::«api.module»::«api.Name»Api;
use «ident»_transport::«api.module»;
//% endif
use «ident»_domain::{NoteCreated, NoteService, SOURCE«% if entity_consumers %», TOPIC«% endif %»};
//% if grpc
use «ident»_proto::v1::{FILE_DESCRIPTOR_SET, note_service_server::NoteServiceServer};
//% endif
//% if modules
use «ident»_workers::{«modules|join(", ")»};
//% endif

//% if settings
pub use settings::AppSettings;

//% endif
kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
//% if api
pub struct App {
//% if has_entity
    service: NoteService,
//% endif
    api: «api.module»::Shared,
//% for channel in channels
    «channel.module»: «channel.service.name»Client<GrpcChannel>,
//% endfor
//% for driver in drivers
    /// The driver `«driver.name»`.
    pub «driver.module»: «driver.ty»,
//% endfor
}
//% elif channels or drivers
pub struct App {
    service: NoteService,
//% for channel in channels
    «channel.module»: «channel.service.name»Client<GrpcChannel>,
//% endfor
//% for driver in drivers
    /// The driver `«driver.name»`.
    pub «driver.module»: «driver.ty»,
//% endfor
}
//% else
pub struct App(NoteService);
//% endif

//% if rest
impl FromRef<App> for NoteService {
    fn from_ref(app: &App) -> Self {
        app«service[4:]».clone()
    }
}

//% elif api
impl FromRef<App> for «api.module»::Shared {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.api)
    }
}

//% endif
impl Service for App {
    const NAME: &'static str = "«app»";
    const ABOUT: &'static str = "«about»";
    const USES: Uses = Uses::STORAGE«% if not cli %».and(Uses::BROKER)«% endif %»«uses»;
//% if live_name
    const HTTP_NAME: &'static str = "«live_name»";
//% endif
//% if consumers or runs
    const CONSUMERS: &'static [&'static str] = &[«groups»];
//% endif
    const MIGRATIONS: Migrations = «ident»_storages::MIGRATIONS;

//% if rest
    type State = NoteService;
//% elif api
    type State = «api.module»::Shared;
//% else
    type State = Self;
//% endif
//% if settings
    type Config = AppSettings;
//% else
    type Config = ();
//% endif
    type Command = «% if cli %»commands::«cli.Name»Command«% else %»NoCommand«% endif %»;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a note").with::<NoteCreated>()«% for event in produced %».with::<«event.ty»>()«% endfor %»«% for queue in queues %»«% for ty in queue.tasks %».with::<«ident»_domain::«queue.module»::«ty»>()«% endfor %»«% endfor %»
    }

//% if rest
    fn http() -> OpenApiRouter<NoteService> {
        «ident»_transport::routes()
    }

//% elif api
    fn http() -> OpenApiRouter<«api.module»::Shared> {
        «api.module»::routes()
    }

//% endif
    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let notes = «ident»_storages::notes(cx.database().await?);
//% for driver in drivers
//% if driver.kind == "s3"
        let «driver.module» = Arc::clone(cx.objects().await?);
//% elif driver.kind == "telegram"
        let config = &cx.config.«driver.module»;
        let «driver.module» = Bot::new(cx.http_client("«driver.module»", &config.client()).await?, config)?;
//% else
        let «driver.module» = «driver.Name»Driver::default();
//% endif
//% endfor
//% if api
        let notes = NoteService::new(notes, cx.clock(), cx.ids(), kennel_service::current_trace);
//% for client in clients
        let config = &cx.config.«client.module»;
        let «client.module» = «client.Name»Client::new(cx.http_client("«client.module»", &config.client()).await?, config)?;
//% endfor
//% if has_entity
        let service = notes.clone();
//% endif
//% for producer in producers
        let «producer.module» = «producer.Name»Producer::new(Arc::clone(cx.broker().await?) as _, cx.clock(), cx.ids(), kennel_service::current_trace);
//% endfor
        let api = «api.Name»Api { notes, «% for client in clients %»«client.module»: Arc::new(«client.module»), «% endfor %»«% for producer in producers %»«producer.module», «% endfor %»«% for queue in adds %»«queue.module»: «queue.Name»Queue(cx.task_queue(SOURCE).await?), «% endfor %»};
//% for channel in channels
        let «channel.module» = cx.grpc_client("«channel.module»", &cx.config.«channel.module», &[FILE_DESCRIPTOR_SET]).await?;
//% endfor
        Ok(Self { «% if has_entity %»service, «% endif %»api: Arc::new(api), «% for channel in channels %»«channel.module»: «channel.service.name»Client::new(«channel.module»), «% endfor %»«% for driver in drivers %»«driver.module», «% endfor %»})
//% elif channels or drivers
        let service = NoteService::new(notes, cx.clock(), cx.ids(), kennel_service::current_trace);
//% for channel in channels
        let «channel.module» = cx.grpc_client("«channel.module»", &cx.config.«channel.module», &[FILE_DESCRIPTOR_SET]).await?;
//% endfor
        Ok(Self { service, «% for channel in channels %»«channel.module»: «channel.service.name»Client::new(«channel.module»), «% endfor %»«% for driver in drivers %»«driver.module», «% endfor %»})
//% else
        Ok(Self(NoteService::new(notes, cx.clock(), cx.ids(), kennel_service::current_trace)))
//% endif
    }
//% if cli

    async fn run(cx: &Context<Self>, command: Self::Command) -> anyhow::Result<ExitCode> {
        kennel_service::check_schema(&*cx.database().await?.migrator, &cx.program).await?;
        let notes = Self::build(cx).await?«service[4:]»;
        let cli = «cli.Name»Cli { notes, «% for queue in adds %»«queue.module»: «queue.Name»Queue(cx.task_queue(SOURCE).await?), «% endfor %»};
        commands::run(&cli, command).await
    }
//% endif
//% if grpc

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(NoteServiceServer::new(NoteRpc(«service».clone()))).descriptors(FILE_DESCRIPTOR_SET)
    }
//% endif
//% if proto

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let rpc = «proto.Name»Rpc { notes: «service».clone(), «% for channel in channels %»«channel.module»: self.«channel.module».clone(), «% endfor %»};
        server«% for service in services %».add_service(«service.name»Server::new(rpc«% if not loop.last %».clone()«% endif %»))«% endfor %».descriptors(FILE_DESCRIPTOR_SET)
    }
//% endif
//% if modules or any_custom

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
//% if not (consumers or runs or bots)
        let _ = cx;
//% endif
//% for bot in bots
        let config = &cx.config.«bot.module»;
        let «bot.module» = Bot::new(cx.http_client("«bot.module»", &config.client()).await?, config)?;
        let «bot.module» = «bot.module»::poller(«service».clone(), «bot.module»);
//% endfor
        Ok(vec![
//% for consumer in consumers
            cx.consumer("«app».«consumer.name»", «consumer.topic», Arc::new(«consumer.module»::«consumer.Name»Consumer(«service».clone()))).await?,
//% endfor
//% for queue in runs
            cx.consumer("«app».«queue.name»", «ident»_domain::«queue.module»::TOPIC, Arc::new(«queue.module»::«queue.Name»Worker(«service».clone()))).await?,
//% endfor
//% for bot in bots
            {
                let progress = «bot.module».progress();
                Worker::new(«bot.module»).with_progress(progress)
            },
//% endfor
//% for driver in drivers if driver.kind == "custom"
            Worker::new(self.«driver.module».component()),
//% endfor
//% for schedule in schedules
            Worker::new(«schedule.module»::«schedule.module»(«service».clone())),
//% endfor
//% for daemon in daemons
            Worker::new(«daemon.module»::«daemon.Name»Daemon(«service».clone())),
//% endfor
        ])
    }
//% endif
}
