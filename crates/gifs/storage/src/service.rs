//! The service, as the platform runs it.

use std::process::ExitCode;
use std::sync::Arc;

use gifs_contracts::{GIF_EVENTS, GifDiscovered, GifSettled, MEDIA_EVENTS};
use gifs_domain::catalogue::{CatalogueService, SOURCE};
use kennel_grpc::GrpcServer;
use kennel_outbox::EventFeed;
use kennel_proto::gifs::v1::FILE_DESCRIPTOR_SET;
use kennel_service::{AccessRules, Context, EventSet, OpenApiRouter, Service, Uses, Worker};
use kennel_storage::Migrations;

use crate::cli::{self, GifStorageCommand};
use crate::config::GifStorageConfig;
use crate::grpc::CatalogueRpc;
use crate::media_results::MediaResults;
use crate::{http, providers, repository};

/// The Catalogue of GIFs.
#[derive(Clone)]
pub struct GifStorage {
    catalogue: CatalogueService,
    feed: EventFeed,
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
    const MIGRATIONS: Migrations = repository::MIGRATIONS;

    type State = Self;
    type Config = GifStorageConfig;
    type Command = GifStorageCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a GIF").with::<GifDiscovered>().with::<GifSettled>()
    }

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    /// The files of the bundled animations are downloaded as those of other providers are: without credentials.
    fn access() -> AccessRules {
        AccessRules::new().public(["GET /local/{file}"]).scope(
            "gifs:internal",
            ["Search", "Trending", "Random", "GetGif", "ListGifs", "WatchGifs"]
                .map(|method| format!("gifs.v1.Catalogue/{method}")),
        )
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        Ok(Self { catalogue: catalogue(cx).await?, feed: cx.feed(GIF_EVENTS).await? })
    }

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
        cli::run(&catalogue(cx).await?, command).await
    }
}

async fn catalogue(cx: &Context<GifStorage>) -> anyhow::Result<CatalogueService> {
    let gifs = repository::gifs(cx.database().await?);
    let counters = cx.counters("gif-storage.quotas").await?;
    let public_url = cx.standard.http.public_url();
    let (config, clients) = (&cx.config.providers, cx.http_client_metrics().await?);
    let providers = providers::connect(config, &public_url, &counters, &cx.clock(), cx.registry(), clients)?;
    Ok(CatalogueService::new(gifs, providers, cx.clock(), cx.ids(), kennel_service::current_trace))
}
