//! Opens what the service stands on: a command opens what it uses and nothing else, `serve` opens all. With `wiring.rs` the
//! only place, next to the `connect.rs` of each port, that knows which backends there are.

use std::sync::Arc;

use anyhow::Context as _;
use dogs_domain::service::Ports;
use dogs_domain::{DogRepository, DogService, DogSource};
use dogs_storages::{CachedDogRepository, Stores};
use kennel_broker::Connected;
use kennel_cache::{CacheMetrics, TypedCache};
use kennel_core::{BackendKind as _, Clock, IdSource, ObjectStore, SystemClock, UuidV7};
use kennel_objects::ObjectMetrics;
use kennel_telemetry::metrics;
use kennel_telemetry::propagation;
use prometheus::Registry;

use crate::config::DogsSettings;
use crate::pictures::Pictures;
use crate::source;

/// What can be opened, each by its own call.
pub struct Backends {
    /// What they are opened by.
    pub settings: DogsSettings,
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) registry: Registry,
    /// Decodes pictures, for all who do.
    pub(crate) pictures: Pictures,
}

impl Backends {
    /// Those that `settings` name; none is open yet.
    pub fn new(settings: DogsSettings) -> Self {
        let pictures = Pictures::new(settings.objects.picture_memory_limit.0);
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(UuidV7));
        Self { settings, clock, ids, registry: metrics::registry(), pictures }
    }

    /// The store, with its schema as it is.
    pub async fn store(&self) -> anyhow::Result<Stores> {
        Ok(dogs_storages::connect(&self.settings.storage.storage()).await?.instrumented(&self.registry)?)
    }

    /// The store; its schema is brought up first, where the settings say so.
    pub async fn current_store(&self) -> anyhow::Result<Stores> {
        let stores = self.store().await?;
        if self.settings.storage.migrate_on_start {
            stores.migrator.up(self.clock.now()).await.context("the schema cannot be brought up")?;
        }
        Ok(stores)
    }

    /// The cache, and the dogs of `stores` behind it.
    pub async fn cache(&self, stores: &Stores) -> anyhow::Result<(kennel_cache::Connected, Arc<CachedDogRepository>)> {
        let cache = kennel_cache::connect(&self.settings.cache.cache()).await?;
        let typed = TypedCache::new(&cache, self.settings.cache.dogs(), &CacheMetrics::register(&self.registry)?);
        Ok((cache, Arc::new(CachedDogRepository::new(Arc::clone(&stores.dogs), typed))))
    }

    /// The object store.
    pub async fn objects(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let objects = kennel_objects::connect(&self.settings.objects.objects(), &*self.clock).await?;
        self.metered(objects)
    }

    /// The object store, opened by its first use.
    pub fn lazy_objects(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let objects = kennel_objects::LazyObjectStore::new(self.settings.objects.objects(), Arc::clone(&self.clock));
        self.metered(Arc::new(objects))
    }

    fn metered(&self, objects: Arc<dyn ObjectStore>) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let metrics = ObjectMetrics::register(&self.registry)?;
        Ok(Arc::new(kennel_objects::InstrumentedObjectStore::new(objects, metrics)))
    }

    /// The broker. With one inside the process, dead letters are in `stores`.
    pub async fn broker(&self, stores: &Stores) -> anyhow::Result<Connected> {
        let sink = Arc::clone(&stores.dead_letter_sink);
        Ok(kennel_broker::connect(&self.settings.broker(), sink, Arc::clone(&self.clock)).await?)
    }

    /// The broker alone, when it stores dead letters itself; `None` when they are in the store.
    pub async fn broker_of_dead_letters(&self) -> anyhow::Result<Option<Connected>> {
        Ok(kennel_broker::connect_server(&self.settings.broker(), Arc::clone(&self.clock)).await?)
    }

    pub(crate) fn broker_is_in_process(&self) -> bool {
        self.settings.broker.broker == kennel_broker::Backend::Memory
    }

    /// The service over these dogs and pictures.
    pub fn service(&self, repo: Arc<dyn DogRepository>, objects: Arc<dyn ObjectStore>) -> anyhow::Result<DogService> {
        let ports = Ports {
            repo,
            source: self.source()?,
            objects,
            pictures: Arc::new(self.pictures.clone()),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            trace: propagation::current,
        };
        Ok(DogService::new(ports, self.settings.objects.picture_limit.0))
    }

    fn source(&self) -> anyhow::Result<Arc<dyn DogSource>> {
        let Some(base_url) = &self.settings.source.dog_api_base_url else {
            return Ok(Arc::new(source::EmbeddedSource::default()));
        };
        Ok(Arc::new(source::DogCeoSource::connect(base_url, &self.settings.source, &self.registry)?))
    }

    /// What errors call the store.
    pub fn store_name(&self) -> String {
        format!("the store `{}`", self.settings.storage.storage.name())
    }

    /// What errors call the broker.
    pub fn broker_name(&self) -> String {
        format!("the broker `{}`", self.settings.broker.broker.name())
    }

    /// What errors call the object store.
    pub fn objects_name(&self) -> String {
        format!("the object store `{}`", self.settings.objects.objects.name())
    }
}
