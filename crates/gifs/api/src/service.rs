//! The service, as the platform runs it.

use std::sync::Arc;
use std::time::Duration;

use kennel_cache::Policy;
use kennel_config::Problems;
use kennel_http::UrlBuilder;
use kennel_objects::HotObjects;
use kennel_objects::config::Backend as Objects;
use kennel_proto::gifs::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::media_client::MediaClient;
use kennel_service::{AccessRules, Context, NoCommand, OpenApiRouter, Service, StandardSettings, Uses, Worker};

use crate::config::{Delivery, GifApiConfig};
use crate::files::Files;
use crate::history::History;
use crate::http;
use crate::searches::{Refresher, Refreshes, Searches};

/// How long it is remembered which files a GIF has.
const FILES_TTL: Duration = Duration::from_hours(1);

/// Requests for GIFs.
#[derive(Clone)]
pub struct GifApi {
    pub(crate) searches: Searches,
    pub(crate) files: Files,
    pub(crate) history: History,
}

impl Service for GifApi {
    const NAME: &'static str = "gif-api";
    const ABOUT: &'static str = "Searches for GIFs, answered from a cache, and their files, over HTTP";
    const USES: Uses = Uses::HTTP.and(Uses::CACHE).and(Uses::OBJECTS);
    const CONTRACTS: &'static str = "gifs/api";
    const HTTP_PORT: u16 = 8081;

    type State = Self;
    type Config = GifApiConfig;
    type Command = NoCommand;

    fn check(standard: &StandardSettings, own: &GifApiConfig, problems: &mut Problems) {
        if own.delivery.delivery == Delivery::Redirect && standard.objects.objects != Objects::S3 {
            problems.add("delivery", "can be `redirect` only if OBJECTS is `s3`");
        }
    }

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    fn access() -> AccessRules {
        http::access()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let catalogue = cx.grpc_client("catalogue", &cx.config.catalogue, &[FILE_DESCRIPTOR_SET]).await?;
        let media = cx.grpc_client("media", &cx.config.media, &[FILE_DESCRIPTOR_SET]).await?;
        let (catalogue, media) = (CatalogueClient::new(catalogue), MediaClient::new(media));
        let policy = cx.config.searches.policy();
        let answers = Policy {
            version: 2,
            negative_ttl: policy.negative,
            max_wait: cx.config.searches.search_wait.get(),
            ..Policy::new("gif-api.searches", policy.fresh)
        };
        let searches = Searches {
            catalogue: catalogue.clone(),
            answers: Arc::new(cx.cache_with(answers).await?),
            latest: Arc::new(cx.cache_with(Policy::new("gif-api.latest", policy.stale)).await?),
            policy,
            refreshes: Refreshes::new(cx.counters("gif-api.refreshes").await?),
            clock: cx.clock(),
            urls: UrlBuilder::new(&cx.standard.http.public_url()),
        };
        let cache = Arc::new(cx.cache_with(Policy::new("gif-api.files", FILES_TTL)).await?);
        let (delivery, objects) = (&cx.config.delivery, Arc::clone(cx.objects().await?));
        let objects = HotObjects::new(objects, delivery.delivery_memory.0, cx.registry())?;
        let url_ttl = delivery.url_ttl();
        let files = Files { catalogue, media, objects, cache, url_ttl };
        Ok(Self { searches, files, history: History::new(cx.clock(), cx.ids()) })
    }

    async fn workers(&self, _: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        Ok(vec![Worker::new(Refresher(self.searches.clone()))])
    }
}
