//! The service, as the platform runs it.

use std::sync::Arc;
use std::time::Duration;

use kennel_cache::Policy;
use kennel_http::UrlBuilder;
use kennel_proto::gifs::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::media_client::MediaClient;
use kennel_service::{Context, NoCommand, OpenApiRouter, Service, Uses};

use crate::config::GifApiConfig;
use crate::files::Files;
use crate::http;
use crate::searches::Searches;

/// How long it is remembered which files a GIF has.
const FILES_TTL: Duration = Duration::from_hours(1);

/// Requests for GIFs.
#[derive(Clone)]
pub struct GifApi {
    pub(crate) searches: Searches,
    pub(crate) files: Files,
}

impl Service for GifApi {
    const NAME: &'static str = "gif-api";
    const ABOUT: &'static str = "Searches for GIFs, answered from a cache, and their files, over HTTP";
    const USES: Uses = Uses::HTTP.and(Uses::CACHE).and(Uses::OBJECTS);
    const CONTRACTS: &'static str = "gifs/api";

    type State = Self;
    type Config = GifApiConfig;
    type Command = NoCommand;

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let catalogue = cx.grpc_client("catalogue", &cx.config.catalogue, &[FILE_DESCRIPTOR_SET]).await?;
        let media = cx.grpc_client("media", &cx.config.media, &[FILE_DESCRIPTOR_SET]).await?;
        let (catalogue, media) = (CatalogueClient::new(catalogue), MediaClient::new(media));
        let lasts = cx.config.searches.policy();
        let fresh = Policy { negative_ttl: lasts.negative, ..Policy::new("gif-api.searches", lasts.fresh) };
        let searches = Searches {
            catalogue: catalogue.clone(),
            fresh: Arc::new(cx.cache_with(fresh).await?),
            latest: Arc::new(cx.cache_with(Policy::new("gif-api.latest", lasts.stale)).await?),
            clock: cx.clock(),
            urls: UrlBuilder::new(&cx.standard.http.public_url()),
        };
        let cache = Arc::new(cx.cache_with(Policy::new("gif-api.files", FILES_TTL)).await?);
        let files = Files { catalogue, media, objects: Arc::clone(cx.objects().await?), cache };
        Ok(Self { searches, files })
    }

    fn state(&self) -> Self {
        self.clone()
    }
}
