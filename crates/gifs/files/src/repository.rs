//! Blobs in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling, Verdict};
use kennel_core::{Event, Receipt, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../../migrations/gifs/media", [(2, "0002_blobs")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
    #[cfg(feature = "clickhouse")]
    clickhouse,
};

/// The blobs in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn blobs(database: &Database) -> Arc<dyn BlobRepository> {
    let inner: Arc<dyn BlobRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlBlobs,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlBlobs,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlBlobs,
        #[cfg(feature = "clickhouse")]
        ClickHouse => clickhouse::ClickHouseBlobs,
    };
    Arc::new(InstrumentedBlobRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to a [`BlobRepository`].
struct InstrumentedBlobRepository {
    inner: Arc<dyn BlobRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl BlobRepository for InstrumentedBlobRepository {
    async fn settle(
        &self,
        outcome: &Outcome,
        blob: Option<&Blob>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "settle", "outcomes", gif.id = %outcome.id);
        self.metrics.instrument("blobs.settle", span, self.inner.settle(outcome, blob, answer, receipt)).await
    }

    async fn answer(&self, answer: &Event, receipt: &Receipt) -> Result<Settling, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "answer", "outbox", gif.id = %answer.key);
        self.metrics.instrument("blobs.answer", span, self.inner.answer(answer, receipt)).await
    }

    async fn outcome(&self, id: GifId) -> Result<Option<Outcome>, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "outcome", "outcomes", gif.id = %id);
        self.metrics.instrument("blobs.outcome", span, self.inner.outcome(id)).await
    }

    async fn list_outcomes(&self, before: Option<GifId>, limit: u32) -> Result<Vec<Outcome>, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "list_outcomes", "outcomes", page.limit = limit);
        self.metrics.instrument("blobs.list_outcomes", span, self.inner.list_outcomes(before, limit)).await
    }

    async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "find", "blobs", blob.sha256 = %sha256);
        self.metrics.instrument("blobs.find", span, self.inner.find(sha256)).await
    }

    async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "list", "blobs", page.limit = limit);
        self.metrics.instrument("blobs.list", span, self.inner.list(after, limit)).await
    }

    async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError> {
        let span = database_span!(self.metrics.system(), "blobs", "urls", "outcomes", blob.sha256 = %sha256);
        self.metrics.instrument("blobs.urls", span, self.inner.urls(sha256, limit)).await
    }
}

/// A blob as it is stored.
fn to_json(blob: &Blob) -> Result<String, RepoError> {
    serde_json::to_string(blob).map_err(|error| RepoError::Backend(error.into()))
}

fn from_json(text: &str) -> Result<Blob, RepoError> {
    serde_json::from_str(text).map_err(RepoError::corrupt)
}

/// The columns of a [`Verdict`]: the hash, the refusal and the details.
fn columns(verdict: &Verdict) -> (Option<&str>, Option<&'static str>, Option<&str>) {
    match verdict {
        Verdict::Stored(sha256) => (Some(sha256.as_str()), None, None),
        Verdict::Refused { refusal, detail } => (None, Some(refusal.as_str()), detail.as_deref()),
    }
}

fn verdict(sha256: Option<String>, refusal: Option<&str>, detail: Option<String>) -> Result<Verdict, RepoError> {
    match (sha256, refusal) {
        (Some(sha256), None) => Ok(Verdict::Stored(sha256.try_into().map_err(RepoError::corrupt)?)),
        (None, Some(refusal)) => Ok(Verdict::Refused { refusal: refusal.into(), detail }),
        _ => Err(RepoError::corrupt("an outcome is neither a hash nor a refusal")),
    }
}
