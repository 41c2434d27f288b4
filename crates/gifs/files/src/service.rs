//! The service, as the platform runs it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use gifs_contracts::{GIF_EVENTS, MediaRefused, MediaStored};
use gifs_domain::media::{MediaPorts, MediaService, SOURCE};
use kennel_config::{Reader, Settings};
use kennel_grpc::{GrpcClientConfig, GrpcServer};
use kennel_proto::gifs::v1::{FILE_DESCRIPTOR_SET, media_server::MediaServer};
use kennel_service::{AccessRules, Context, EventSet, Service, Uses, Worker};
use kennel_storage::Migrations;

use crate::cli::{self, GifFilesCommand};
use crate::config::MediaConfig;
use crate::downloader::Downloader;
use crate::fetcher::HttpFetcher;
use crate::grpc::MediaRpc;
use crate::repository;

/// The bytes of GIFs.
#[derive(Clone)]
pub struct GifFiles(MediaService);

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct GifFilesConfig {
    /// Downloads of GIFs.
    pub media: MediaConfig,
    /// The Catalogue, gif-storage. `reconcile` compares with it if it is set.
    pub catalogue: Option<GrpcClientConfig>,
}

impl Settings for GifFilesConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { media: reader.section(), catalogue: reader.optional_section("catalogue") }
    }
}

impl Service for GifFiles {
    const NAME: &'static str = "gif-files";
    const ABOUT: &'static str = "The bytes of GIFs: downloads, checks and stores them, and returns them over gRPC";
    const USES: Uses = Uses::GRPC.and(Uses::STORAGE).and(Uses::BROKER).and(Uses::OBJECTS);
    const CONTRACTS: &'static str = "gifs/files";
    const GRPC_PORT: u16 = 50053;
    const CONSUMERS: &'static [&'static str] = &[Downloader::GROUP];
    const MIGRATIONS: Migrations = repository::MIGRATIONS;

    type State = Self;
    type Config = GifFilesConfig;
    type Command = GifFilesCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of a GIF").with::<MediaStored>().with::<MediaRefused>()
    }

    fn access() -> AccessRules {
        AccessRules::new().scope("gifs:internal", ["gifs.v1.Media/GetBlob", "gifs.v1.Media/OpenBlob"])
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        Ok(Self(media(cx).await?))
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(MediaServer::new(MediaRpc(self.0.clone()))).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let downloader = Downloader::new(self.0.clone(), cx.config.media.gif_downloads);
        Ok(vec![cx.consumer(Downloader::GROUP, GIF_EVENTS, Arc::new(downloader)).await?])
    }

    async fn run(cx: &Context<Self>, command: GifFilesCommand) -> anyhow::Result<ExitCode> {
        cli::run(cx, command).await
    }
}

/// The use cases, on the configured backends.
pub(crate) async fn media(cx: &Context<GifFiles>) -> anyhow::Result<MediaService> {
    let config = &cx.config.media;
    let client = cx.http_client("gif_files", &config.client()).await?;
    Ok(MediaService::new(MediaPorts {
        blobs: repository::blobs(cx.database().await?),
        objects: Arc::clone(cx.objects().await?),
        fetcher: Arc::new(HttpFetcher::new(client, config).context("cannot write to GIF_DOWNLOAD_PATH")?),
        clock: cx.clock(),
        ids: cx.ids(),
        trace: kennel_service::current_trace,
    }))
}
