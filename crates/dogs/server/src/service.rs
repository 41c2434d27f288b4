//! The service, as the platform runs it.

use std::process::ExitCode;
use std::sync::Arc;

use dogs_domain::events::{self, DogCreated, DogDeleted, DogUpdated, DogsImported, ImageStored, ThumbnailStored};
use dogs_domain::service::Ports;
use dogs_domain::{DogImports, DogRepository, DogService, DogSource};
use dogs_sources::{DogCeoSource, EmbeddedSource};
use dogs_storages::{CachedDogImports, CachedDogRepository, Stores};
use kennel_broker::Broker as _;
use kennel_core::{BackendKind as _, ObjectStore};
use kennel_images::ImageProcessor;
use kennel_outbox::{EventFeed, Invalidator};
use kennel_proto::dogs::v1::FILE_DESCRIPTOR_SET;
use kennel_service::{
    AccessRules, Context, EventSet, FromRef, GrpcServer, Migrations, OpenApiRouter, Service, Uses, Worker,
    current_trace,
};

use crate::cli::DogsCommand;
use crate::config::DogsConfig;
use crate::grpc::DogRpc;
use crate::http::{self, ApiContext, ApiState, BackendNames, DogUrls};
use crate::picture_check::DecodedPictureCheck;
use crate::workers::{StaleDogs, Thumbnailer, expiry_worker};

/// Dogs by breed.
pub struct Dogs {
    api: Arc<ApiContext>,
    service: DogService,
    feed: EventFeed,
    stores: Stores,
    cached: Arc<CachedDogRepository>,
    objects: Arc<dyn ObjectStore>,
    images: ImageProcessor,
}

impl Service for Dogs {
    const NAME: &'static str = crate::NAME;
    const ABOUT: &'static str = "Dogs by breed, over HTTP, gRPC and the command line";
    const USES: Uses =
        Uses::HTTP.and(Uses::GRPC).and(Uses::STORAGE).and(Uses::BROKER).and(Uses::CACHE).and(Uses::OBJECTS);
    const CONSUMERS: &'static [&'static str] = &[Thumbnailer::GROUP];
    const UNBOUNDED: &'static [&'static str] = &http::UNBOUNDED;
    const MIGRATIONS: Migrations = dogs_storages::MIGRATIONS;

    type State = Arc<ApiContext>;
    type Config = DogsConfig;
    type Command = DogsCommand;

    fn events() -> EventSet {
        EventSet::new(events::SOURCE, "the id of a dog, or the key of an import")
            .with::<DogCreated>()
            .with::<DogUpdated>()
            .with::<DogDeleted>()
            .with::<ImageStored>()
            .with::<ThumbnailStored>()
            .with::<DogsImported>()
    }

    fn http() -> OpenApiRouter<Self::State> {
        http::routes()
    }

    /// A random image is stored, so it is a new dog.
    fn access() -> AccessRules {
        let fetch = ["GET /api/v1/dogs/{breed}/image", "GET /api/v1/dogs/{breed}/{sub_breed}/image"];
        let (read, write) = ("dogs:read", "dogs:write");
        AccessRules::new().public(http::gallery::GALLERY.operations()).scope(write, fetch).others(read, write)
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let stores = stores(cx).await?;
        let cached = cached(cx, &stores).await?;
        let objects = Arc::clone(cx.objects().await?);
        let images = ImageProcessor::new(cx.config.images.image_memory_limit.0);
        let service = domain_service(cx, &stores, Some(&cached), Arc::clone(&objects), &images).await?;
        let feed = cx.feed(events::TOPIC).await?;
        let api = Arc::new(ApiContext::new(ApiState {
            service: service.clone(),
            feed: feed.clone(),
            ids: cx.ids(),
            public_url: cx.standard.http.public_url(),
            metrics_url: cx.config.metrics_url(&cx.process),
            grafana_url: cx.config.gallery.grafana_url.clone(),
            backends: BackendNames {
                storage: cx.standard.storage.storage.name(),
                broker: cx.standard.broker.broker.name(),
                cache: cx.standard.cache.cache.name(),
                objects: cx.standard.objects.objects.name(),
            },
            health: cx.health.clone(),
        }));
        Ok(Self { api, service, feed, stores, cached, objects, images })
    }

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let urls = DogUrls::new(&cx.standard.http.public_url());
        let max_bytes = cx.standard.grpc.max_message_bytes;
        let dogs = DogRpc::server(self.service.clone(), self.feed.clone(), urls, cx.ids(), max_bytes);
        server.add_service(dogs).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let system = cx.broker().await?.system();
        let thumbnailer = Thumbnailer::new(self.service.clone(), Arc::clone(&self.objects), self.images.clone());
        Ok(vec![
            Worker::new(Invalidator::new(self.feed.clone(), StaleDogs(Arc::clone(&self.cached)), system)),
            Worker::new(expiry_worker(Arc::clone(&self.stores.retention), cx.clock(), cx.retention())),
            cx.consumer(Thumbnailer::GROUP, events::TOPIC, Arc::new(thumbnailer)).await?,
        ])
    }

    async fn run(cx: &Context<Self>, command: DogsCommand) -> anyhow::Result<ExitCode> {
        crate::cli::run(cx, command).await
    }
}

impl FromRef<Dogs> for Arc<ApiContext> {
    fn from_ref(dogs: &Dogs) -> Self {
        Self::clone(&dogs.api)
    }
}

/// The store of dogs.
pub(crate) async fn stores(cx: &Context<Dogs>) -> anyhow::Result<Stores> {
    Ok(Stores::new(cx.database().await?.clone()))
}

/// The dogs of the store, with a cache.
pub(crate) async fn cached(cx: &Context<Dogs>, stores: &Stores) -> anyhow::Result<Arc<CachedDogRepository>> {
    let cache = cx.cache("dogs.by_id").await?;
    Ok(Arc::new(CachedDogRepository::new(Arc::clone(&stores.dogs), cache)))
}

/// The domain service over the store, with or without a cache, and the object store.
pub(crate) async fn domain_service(
    cx: &Context<Dogs>,
    stores: &Stores,
    cached: Option<&Arc<CachedDogRepository>>,
    objects: Arc<dyn ObjectStore>,
    images: &ImageProcessor,
) -> anyhow::Result<DogService> {
    let (repo, imports): (Arc<dyn DogRepository>, Arc<dyn DogImports>) = match cached {
        None => (Arc::clone(&stores.dogs), Arc::clone(&stores.imports)),
        Some(cached) => {
            let imports = CachedDogImports::new(Arc::clone(&stores.imports), Arc::clone(cached));
            (Arc::<CachedDogRepository>::clone(cached), Arc::new(imports))
        }
    };
    let ports = Ports {
        repo,
        imports,
        source: source(cx).await?,
        objects,
        pictures: Arc::new(DecodedPictureCheck(images.clone())),
        clock: cx.clock(),
        ids: cx.ids(),
        trace: current_trace,
    };
    Ok(DogService::new(ports, cx.config.images.image_limit.0))
}

async fn source(cx: &Context<Dogs>) -> anyhow::Result<Arc<dyn DogSource>> {
    let Some(base_url) = &cx.config.source.dog_api_base_url else {
        return Ok(Arc::new(EmbeddedSource::default()));
    };
    let config = DogCeoSource::client_config(&cx.config.source);
    // Each has its own circuit breaker.
    let (api, images) = (cx.http_client("dog_api", &config).await?, cx.http_client("dog_images", &config).await?);
    Ok(Arc::new(DogCeoSource::new(base_url, api, images, config.deadline)?))
}
