//! A cache of single dogs, including their absence.

use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::ports::{DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet};
use dogs_domain::{BreedCount, Dog, DogId, DogImports, DogRepository, Revision};
use kennel_cache::TypedCache;
use kennel_core::{Event, ObjectKey, Receipt, RepoError, Timestamp};

/// Decorator that caches the dogs that `find` returns.
///
/// A dog is invalidated on each change of it through this decorator, successful or not; on writes elsewhere by
/// [`CachedDogRepository::invalidate`]; and it expires after the TTL of the cache.
pub struct CachedDogRepository {
    inner: Arc<dyn DogRepository>,
    dogs: TypedCache<Dog>,
}

impl CachedDogRepository {
    /// Caches the results of `inner` in `dogs`.
    pub const fn new(inner: Arc<dyn DogRepository>, dogs: TypedCache<Dog>) -> Self {
        Self { inner, dogs }
    }

    /// Invalidates a dog that was written elsewhere.
    pub async fn invalidate(&self, id: DogId) {
        // An unavailable cache counts its own errors, and its entries expire.
        drop(self.dogs.invalidate(&key(id)).await);
    }

    /// Runs a write, then invalidates the dog. A failed write may have been committed, so it invalidates too.
    async fn write_through<T>(&self, id: DogId, write: impl Future<Output = T>) -> T {
        let result = write.await;
        self.invalidate(id).await;
        result
    }
}

fn key(id: DogId) -> String {
    id.0.simple().to_string()
}

#[async_trait]
impl DogRepository for CachedDogRepository {
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        // Nobody knows the id yet, so that it cannot be cached.
        self.inner.insert(dog, events, key).await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        self.dogs.get_or_load(&key(id), || self.inner.find(id)).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        self.inner.list(query).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.write_through(dog.id, self.inner.update(dog, expected, events)).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.write_through(id, self.inner.delete(id, expected, events)).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        self.write_through(id, self.inner.set_thumbnail(id, photo, thumbnail, receipt, events)).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.inner.count_by_breed().await
    }
}

/// Decorator that invalidates the dogs of an import, whose absence may be cached.
pub struct CachedDogImports {
    inner: Arc<dyn DogImports>,
    cached: Arc<CachedDogRepository>,
}

impl CachedDogImports {
    /// Invalidates in `cached` the dogs that `inner` imports.
    pub const fn new(inner: Arc<dyn DogImports>, cached: Arc<CachedDogRepository>) -> Self {
        Self { inner, cached }
    }
}

#[async_trait]
impl DogImports for CachedDogImports {
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        self.inner.begin_import(import, now).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        let result = self.inner.import(batch, event).await;
        let keys: Vec<_> = batch.dogs.iter().map(|dog| key(dog.id)).collect();
        // Errors are ignored as in `invalidate`.
        drop(self.cached.dogs.invalidate_all(keys).await);
        result
    }
}
