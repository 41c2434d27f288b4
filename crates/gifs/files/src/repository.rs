//! Blobs in every store: one file per store, one for what the SQL databases share, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling, Verdict};
use kennel_core::{Event, Receipt, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Engine, Migrations, database_span, migration};

/// The migrations of the schema.
#[expect(clippy::allow_attributes, reason = "whether a store is left out depends on the features")]
#[allow(clippy::needless_update)]
pub const MIGRATIONS: Migrations = Migrations {
    #[cfg(feature = "sqlite")]
    sqlite: &[kennel_storage::sqlite::EVENTS, migration!("../../../../migrations/gifs/media/sqlite", 2, "0002_blobs")],
    #[cfg(feature = "postgres")]
    postgres: &[
        kennel_storage::postgres::EVENTS,
        migration!("../../../../migrations/gifs/media/postgres", 2, "0002_blobs"),
    ],
    #[cfg(feature = "mysql")]
    mysql: &[kennel_storage::mysql::EVENTS, migration!("../../../../migrations/gifs/media/mysql", 2, "0002_blobs")],
    #[cfg(feature = "clickhouse")]
    clickhouse: &[
        kennel_storage::clickhouse::EVENTS,
        migration!("../../../../migrations/gifs/media/clickhouse", 2, "0002_blobs"),
    ],
    ..Migrations::NONE
};

/// The blobs in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn blobs(database: &Database) -> Arc<dyn BlobRepository> {
    let inner: Arc<dyn BlobRepository> = match &database.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(engine) => Arc::new(sqlite::SqliteBlobs(engine.clone())),
        #[cfg(feature = "postgres")]
        Engine::Postgres(engine) => Arc::new(postgres::PostgresBlobs(engine.clone())),
        #[cfg(feature = "mysql")]
        Engine::Mysql(engine) => Arc::new(mysql::MysqlBlobs(engine.clone())),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(engine) => Arc::new(clickhouse::ClickHouseBlobs(engine.clone())),
        #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
        #[allow(unreachable_patterns)]
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
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

/// Reads the outcome in a row of any SQL database.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn read_outcome(row: &impl kennel_storage::Columns) -> Result<Outcome, RepoError> {
    use kennel_storage::classify;

    let refusal = row.maybe_text("refusal").map_err(classify)?;
    let (sha256, detail) = (row.maybe_text("sha256").map_err(classify)?, row.maybe_text("detail").map_err(classify)?);
    Ok(Outcome {
        id: GifId(row.id("gif_id").map_err(classify)?),
        url: row.text("url").map_err(classify)?,
        verdict: verdict(sha256, refusal.as_deref(), detail)?,
        at: row.time("decided_at").map_err(classify)?,
    })
}

/// Reads the blob in a row of any SQL database.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn read_blob(row: &impl kennel_storage::Columns) -> Result<Blob, RepoError> {
    from_json(&row.text("blob").map_err(kennel_storage::classify)?)
}
