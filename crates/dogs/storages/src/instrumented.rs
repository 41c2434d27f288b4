//! A decorator that adds spans and metrics to the ports of every store.

use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::ports::{DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet};
use dogs_domain::{BreedCount, Dog, DogId, DogImports, DogRepository, DogRetention, Revision};
use kennel_core::{Event, ObjectKey, Receipt, RepoError, Timestamp};
use kennel_storage::DatabaseMetrics;
use kennel_storage::tracing::field::Empty;
use kennel_telemetry::as_i64;

/// Decorator that records metrics and a span for every call to a port of dogs: [`DogRepository`], [`DogImports`] or
/// [`DogRetention`].
pub struct InstrumentedDogs<P: ?Sized> {
    inner: Arc<P>,
    metrics: DatabaseMetrics,
}

impl<P: ?Sized> InstrumentedDogs<P> {
    /// Decorates `inner`.
    pub const fn new(inner: Arc<P>, metrics: DatabaseMetrics) -> Self {
        Self { inner, metrics }
    }
}

/// The span of a call.
macro_rules! span {
    ($self:ident, $operation:literal, $collection:literal $(, $($field:tt)+)?) => {
        kennel_storage::database_span!($self.metrics.system(), "dogs", $operation, $collection $(, $($field)+)?)
    };
}

#[async_trait]
impl DogRepository for InstrumentedDogs<dyn DogRepository> {
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let span = span!(self, "insert", "dogs", dog.id = %dog.id, db.operation.batch.size = Empty);
        self.metrics.instrument("dogs.insert", span, self.inner.insert(dog, events, key)).await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        let span = span!(self, "find", "dogs", dog.id = %id, db.operation.batch.size = Empty);
        self.metrics.instrument("dogs.find", span, self.inner.find(id)).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let span = span!(self, "list", "dogs", page.limit = as_i64(query.limit));
        self.metrics.instrument("dogs.list", span, self.inner.list(query)).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let span = span!(self, "update", "dogs", dog.id = %dog.id, dog.revision = as_i64(expected.0));
        self.metrics.instrument("dogs.update", span, self.inner.update(dog, expected, events)).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let span = span!(self, "delete", "dogs", dog.id = %id, dog.revision = as_i64(expected.0));
        self.metrics.instrument("dogs.delete", span, self.inner.delete(id, expected, events)).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        let span = span!(self, "set_thumbnail", "dogs", dog.id = %id, event.id = %receipt.event);
        let call = self.inner.set_thumbnail(id, photo, thumbnail, receipt, events);
        self.metrics.instrument("dogs.set_thumbnail", span, call).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.metrics
            .instrument("dogs.count_by_breed", span!(self, "count_by_breed", "dogs"), self.inner.count_by_breed())
            .await
    }
}

#[async_trait]
impl DogImports for InstrumentedDogs<dyn DogImports> {
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        let span = span!(self, "begin_import", "imports");
        self.metrics.instrument("dogs.begin_import", span, self.inner.begin_import(import, now)).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        let span = span!(self, "import", "dogs", db.operation.batch.size = as_i64(batch.dogs.len()));
        self.metrics.instrument("dogs.import", span, self.inner.import(batch, event)).await
    }
}

#[async_trait]
impl DogRetention for InstrumentedDogs<dyn DogRetention> {
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        self.metrics
            .instrument("dogs.purge", span!(self, "purge", "idempotency_keys"), self.inner.purge(before, limit))
            .await
    }
}
