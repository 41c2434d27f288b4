//! Opens the backends: `serve` opens all of them, any other command only those that it uses.
//!
//! Only this module, `wiring.rs` and the `connect.rs` of each port know which backends exist.

use std::sync::Arc;

use anyhow::Context as _;
use dogs_domain::service::Ports;
use dogs_domain::{DogImports, DogRepository, DogService, DogSource};
use dogs_storages::{CachedDogRepository, Stores};
use kennel_broker::Connected;
use kennel_cache::{CacheMetrics, TypedCache};
use kennel_core::{BackendKind as _, Clock, IdSource, ObjectStore, SystemClock, UuidV7};
use kennel_images::ImageProcessor;
use kennel_objects::ObjectMetrics;
use kennel_telemetry::metrics;
use kennel_telemetry::propagation;
use prometheus::Registry;

use crate::config::DogsSettings;
use crate::picture_check::DecodedPictureCheck;
use crate::source;

/// The configured backends, each opened by its own call.
pub struct Backends {
    /// The settings.
    pub settings: DogsSettings,
    /// The clock of the process.
    pub clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) registry: Registry,
    /// Decodes images within the memory limit of the process.
    pub(crate) images: ImageProcessor,
}

impl Backends {
    /// The backends that `settings` name. Opens none of them.
    pub fn new(settings: DogsSettings) -> Self {
        let images = ImageProcessor::new(settings.images.image_memory_limit.0);
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(UuidV7));
        Self { settings, clock, ids, registry: metrics::registry(), images }
    }

    /// Opens the store, without migrating its schema.
    pub async fn store(&self) -> anyhow::Result<Stores> {
        Ok(dogs_storages::open(&self.settings.storage, &self.registry).await?)
    }

    /// Opens the store. Migrates its schema first, if configured.
    pub async fn current_store(&self) -> anyhow::Result<Stores> {
        let stores = self.store().await?;
        if self.settings.storage.migrate_on_start {
            stores.database.migrator.up(self.clock.now()).await.context("cannot migrate the schema")?;
        }
        Ok(stores)
    }

    /// Opens the cache, and a repository that caches the dogs of `stores` in it.
    pub async fn cache(&self, stores: &Stores) -> anyhow::Result<(kennel_cache::Connected, Arc<CachedDogRepository>)> {
        let cache = kennel_cache::connect(&self.settings.cache, crate::NAME).await?;
        let typed =
            TypedCache::new(&cache, self.settings.cache.policy("dogs.by_id"), &CacheMetrics::register(&self.registry)?);
        Ok((cache, Arc::new(CachedDogRepository::new(Arc::clone(&stores.dogs), typed))))
    }

    /// Opens the object store.
    pub async fn objects(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let objects = kennel_objects::connect(&self.settings.objects, &*self.clock).await?;
        self.instrumented(objects)
    }

    /// The object store, opened on first use.
    pub fn lazy_objects(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let objects = kennel_objects::LazyObjectStore::new(self.settings.objects.clone(), Arc::clone(&self.clock));
        self.instrumented(Arc::new(objects))
    }

    fn instrumented(&self, objects: Arc<dyn ObjectStore>) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let metrics = ObjectMetrics::register(&self.registry)?;
        Ok(Arc::new(kennel_objects::InstrumentedObjectStore::new(objects, metrics)))
    }

    /// Opens the broker. The in-process broker stores dead letters in `stores`.
    pub async fn broker(&self, stores: &Stores) -> anyhow::Result<Connected> {
        let sink = Arc::clone(&stores.database.dead_letter_sink);
        Ok(kennel_broker::connect(&self.settings.broker, sink, Arc::clone(&self.clock)).await?)
    }

    /// Opens the broker, if it stores dead letters itself; `None` if they are in the store.
    pub async fn broker_with_dead_letters(&self) -> anyhow::Result<Option<Connected>> {
        Ok(kennel_broker::connect_server(&self.settings.broker, Arc::clone(&self.clock)).await?)
    }

    pub(crate) fn broker_is_in_process(&self) -> bool {
        self.settings.broker.broker == kennel_broker::Backend::Memory
    }

    /// The domain service over these ports.
    pub fn service(
        &self,
        repo: Arc<dyn DogRepository>,
        imports: Arc<dyn DogImports>,
        objects: Arc<dyn ObjectStore>,
    ) -> anyhow::Result<DogService> {
        let ports = Ports {
            repo,
            imports,
            source: self.source()?,
            objects,
            pictures: Arc::new(DecodedPictureCheck(self.images.clone())),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            trace: propagation::current,
        };
        Ok(DogService::new(ports, self.settings.images.image_limit.0))
    }

    fn source(&self) -> anyhow::Result<Arc<dyn DogSource>> {
        let Some(base_url) = &self.settings.source.dog_api_base_url else {
            return Ok(Arc::new(source::EmbeddedSource::default()));
        };
        Ok(Arc::new(source::DogCeoSource::connect(base_url, &self.settings.source, &self.registry)?))
    }

    /// The name of the store in errors.
    pub fn store_name(&self) -> String {
        format!("the store `{}`", self.settings.storage.storage.name())
    }

    /// The name of the broker in errors.
    pub fn broker_name(&self) -> String {
        format!("the broker `{}`", self.settings.broker.broker.name())
    }

    /// The name of the object store in errors.
    pub fn objects_name(&self) -> String {
        format!("the object store `{}`", self.settings.objects.objects.name())
    }
}
