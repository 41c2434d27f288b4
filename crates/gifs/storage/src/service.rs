//! The service, as the platform runs it.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use gifs_contracts::{GIF_EVENTS, GifDiscovered, GifSettled, MEDIA_EVENTS};
use gifs_domain::catalogue::{CatalogueService, FindRequest, Rating, SOURCE, SearchText, Wanted};
use kennel_config::{Reader, Settings};
use kennel_grpc::GrpcServer;
use kennel_outbox::EventFeed;
use kennel_proto::gifs::v1::FILE_DESCRIPTOR_SET;
use kennel_service::output::print_line;
use kennel_service::{Context, EventSet, OpenApiRouter, Service, Uses, Worker};
use kennel_storage::Migrations;

use crate::config::ProviderConfig;
use crate::grpc::CatalogueRpc;
use crate::media_results::MediaResults;
use crate::{http, providers, repository};

/// The Catalogue of GIFs.
pub struct GifStorage {
    catalogue: CatalogueService,
    feed: EventFeed,
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct GifStorageConfig {
    /// Where GIFs are found.
    pub providers: ProviderConfig,
}

impl Settings for GifStorageConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { providers: reader.section() }
    }
}

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum GifStorageCommand {
    /// Search for GIFs at the providers, add them to the catalogue, and print them.
    Search {
        /// What to search for.
        text: SearchText,
        /// Maximum number of GIFs.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=50))]
        limit: u32,
    },
}

impl Service for GifStorage {
    const NAME: &'static str = "gif-storage";
    const ABOUT: &'static str =
        "The catalogue of GIFs: finds them at several providers, over gRPC and the command line";
    const USES: Uses = Uses::HTTP.and(Uses::GRPC).and(Uses::STORAGE).and(Uses::BROKER).and(Uses::CACHE);
    const CONTRACTS: &'static str = "gifs/storage";
    const HTTP_PORT: u16 = 8082;
    const GRPC_PORT: u16 = 50052;
    const CONSUMERS: &'static [&'static str] = &[MediaResults::GROUP];

    type State = ();
    type Config = GifStorageConfig;
    type Command = GifStorageCommand;

    fn migrations() -> Migrations {
        repository::MIGRATIONS
    }

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a GIF").with::<GifDiscovered>().with::<GifSettled>()
    }

    fn http() -> OpenApiRouter<()> {
        http::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        Ok(Self { catalogue: catalogue(cx).await?, feed: cx.feed(GIF_EVENTS).await? })
    }

    fn state(&self) {}

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let max_bytes = cx.standard.grpc.max_message_bytes;
        let catalogue = CatalogueRpc::server(self.catalogue.clone(), self.feed.clone(), max_bytes);
        server.add_service(catalogue).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let results = MediaResults(self.catalogue.clone());
        Ok(vec![cx.consumer(MediaResults::GROUP, MEDIA_EVENTS, Arc::new(results)).await?])
    }

    async fn run(cx: &Context<Self>, command: GifStorageCommand) -> anyhow::Result<ExitCode> {
        let GifStorageCommand::Search { text, limit: size } = command;
        let wanted = Wanted::Search(text);
        let request = FindRequest { wanted, rating: Rating::default(), language: None, size, position: 0 };
        for gif in catalogue(cx).await?.find(request, None).await?.gifs {
            print_line(format_args!(
                "{}  {:<8}  {:<10}  {}",
                gif.id,
                gif.state.name(),
                gif.key.provider,
                gif.details.title
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn catalogue(cx: &Context<GifStorage>) -> anyhow::Result<CatalogueService> {
    let gifs = repository::gifs(cx.database().await?);
    let counters = cx.counters("gif-storage.quotas").await?;
    let public_url = cx.standard.http.public_url();
    let providers = providers::connect(&cx.config.providers, &public_url, &counters, &cx.clock(), cx.registry())?;
    Ok(CatalogueService::new(gifs, providers, cx.clock(), cx.ids(), kennel_service::current_trace))
}
