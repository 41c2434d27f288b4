//! Spans and metrics on every call; the same on every store.

use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::ports::{
    Capabilities, DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet,
};
use dogs_domain::{BreedCount, Dog, DogId, DogRepository, Revision};
use kennel_core::{Event, ObjectKey, Receipt, RepoError, Timestamp};
use kennel_storage::DatabaseMetrics;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// A repository that tells how its calls go.
pub struct Metered {
    inner: Arc<dyn DogRepository>,
    system: &'static str,
    metrics: DatabaseMetrics,
}

impl Metered {
    /// Tells of `inner`, which stands on the database `system`.
    pub const fn new(inner: Arc<dyn DogRepository>, system: &'static str, metrics: DatabaseMetrics) -> Self {
        Self { inner, system, metrics }
    }

    async fn tell<T>(
        &self,
        operation: &'static str,
        span: Span,
        call: impl Future<Output = Result<T, RepoError>>,
    ) -> Result<T, RepoError> {
        let started = Instant::now();
        let result = call.instrument(span.clone()).await;
        self.metrics.record(operation, started, &result);
        if let Err(error) = &result {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind().codes().code);
        }
        result
    }
}

/// The span of a call, in the words of OpenTelemetry's conventions for databases.
macro_rules! span {
    ($self:ident, $operation:literal, $collection:literal $(, $($field:tt)+)?) => {
        tracing::info_span!(
            concat!("db.dogs.", $operation),
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            db.system.name = $self.system,
            db.collection.name = $collection,
            db.operation.name = $operation
            $(, $($field)+)?
        )
    };
}

#[async_trait]
impl DogRepository for Metered {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let span = span!(self, "insert", "dogs", dog.id = %dog.id);
        self.tell("dogs.insert", span, self.inner.insert(dog, events, key)).await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        self.tell("dogs.find", span!(self, "find", "dogs", dog.id = %id), self.inner.find(id)).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let span = span!(self, "list", "dogs", page.limit = query.limit);
        self.tell("dogs.list", span, self.inner.list(query)).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let span = span!(self, "update", "dogs", dog.id = %dog.id, dog.revision = expected.0);
        self.tell("dogs.update", span, self.inner.update(dog, expected, events)).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let span = span!(self, "delete", "dogs", dog.id = %id, dog.revision = expected.0);
        self.tell("dogs.delete", span, self.inner.delete(id, expected, events)).await
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
        self.tell("dogs.set_thumbnail", span, call).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.tell("dogs.count_by_breed", span!(self, "count_by_breed", "dogs"), self.inner.count_by_breed()).await
    }

    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        let span = span!(self, "begin_import", "imports");
        self.tell("dogs.begin_import", span, self.inner.begin_import(import, now)).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        let span = span!(self, "import", "dogs", db.operation.batch.size = batch.dogs.len());
        self.tell("dogs.import", span, self.inner.import(batch, event)).await
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, RepoError> {
        self.tell("dogs.purge", span!(self, "purge", "idempotency_keys"), self.inner.purge(before)).await
    }
}
