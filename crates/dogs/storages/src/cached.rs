//! A cache over single dogs, absent ones included.

use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::ports::{
    Capabilities, DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet,
};
use dogs_domain::{BreedCount, Dog, DogId, DogRepository, Revision};
use kennel_cache::TypedCache;
use kennel_core::{Event, ObjectKey, Receipt, RepoError, Timestamp};

/// A repository that remembers the dogs it has found.
///
/// It forgets a dog on each write to it here, successful or not; on writes elsewhere when told by
/// [`Cached::invalidate`]; and in any case when the cache's time is up.
pub struct Cached {
    inner: Arc<dyn DogRepository>,
    dogs: TypedCache<Dog>,
}

impl Cached {
    /// Keeps what `inner` finds in `dogs`.
    pub const fn new(inner: Arc<dyn DogRepository>, dogs: TypedCache<Dog>) -> Self {
        Self { inner, dogs }
    }

    /// Forgets a dog, because it was written elsewhere.
    pub async fn invalidate(&self, id: DogId) {
        // A cache that does not answer counts its own errors, and what it holds runs out.
        drop(self.dogs.invalidate(&key(id)).await);
    }

    /// A write that failed may have come through all the same, so its result does not matter.
    async fn after<T>(&self, id: DogId, write: impl Future<Output = T>) -> T {
        let result = write.await;
        self.invalidate(id).await;
        result
    }
}

fn key(id: DogId) -> String {
    id.0.simple().to_string()
}

#[async_trait]
impl DogRepository for Cached {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        self.after(dog.id, self.inner.insert(dog, events, key)).await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        self.dogs.get_or_load(&key(id), || self.inner.find(id)).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        self.inner.list(query).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.after(dog.id, self.inner.update(dog, expected, events)).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.after(id, self.inner.delete(id, expected, events)).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        self.after(id, self.inner.set_thumbnail(id, photo, thumbnail, receipt, events)).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.inner.count_by_breed().await
    }

    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        self.inner.begin_import(import, now).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        let result = self.inner.import(batch, event).await;
        // Their absence may have been remembered.
        let keys: Vec<_> = batch.dogs.iter().map(|dog| key(dog.id)).collect();
        // As in `invalidate`.
        drop(self.dogs.invalidate_all(keys).await);
        result
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        self.inner.purge(before, limit).await
    }
}
