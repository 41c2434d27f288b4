//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;

use gif_files::repository::{self, MIGRATIONS};
use gifs_contracts::{GifId, MediaRefused, Refusal, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, SOURCE, Settling, StoredFile, Variant, Verdict, file_key};
use kennel_core::{Event, IdSource as _, Receipt, RepoError, Timestamp, UuidV7};
use kennel_storage::{Database, StorageConfig};
use prometheus::Registry;

/// A migrated store, with the database or folder that is removed when the value is dropped.
pub(crate) struct Store {
    pub(crate) blobs: Arc<dyn BlobRepository>,
    pub(crate) database: Database,
    _resource: Box<dyn Any + Send + Sync>,
}

impl Store {
    async fn open(config: &StorageConfig, resource: impl Any + Send + Sync) -> Self {
        let database = kennel_storage::open(config, "gif-files", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(at(0)).await.unwrap();
        Self { blobs: repository::blobs(&database), database, _resource: Box::new(resource) }
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Settles with an answer and a receipt of its own.
    pub(crate) async fn settle(&self, outcome: &Outcome, blob: Option<&Blob>) -> Result<Settling, RepoError> {
        self.blobs.settle(outcome, blob, &answer(outcome.id), &receipt()).await
    }

    /// Stores a GIF with the bytes of this blob; returns its outcome.
    pub(crate) async fn stored(&self, blob: &Blob) -> Outcome {
        let outcome = outcome(Verdict::Stored(blob.sha256.clone()));
        assert_eq!(self.settle(&outcome, Some(blob)).await.unwrap(), Settling::Recorded);
        outcome
    }

    /// The events that are not published yet, in the order of their commits.
    pub(crate) async fn pending(&self) -> Vec<Event> {
        self.database.outbox.pending(1_000).await.unwrap()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    Some(Store::open(&StorageConfig::sqlite(folder.path().join("gif-files.db")), folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Store::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Store::open(&StorageConfig::mysql(database.dsn()), database).await)
}

#[cfg(feature = "clickhouse")]
pub(crate) async fn clickhouse() -> Option<Store> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some(Store::open(&StorageConfig::clickhouse(database.dsn()), database).await)
}

/// A point in time, `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007 + millis).unwrap()
}

/// A hash that sorts by `number`.
pub(crate) fn hash(number: u64) -> Sha256 {
    format!("{number:064x}").parse().unwrap()
}

/// The blob with this hash.
pub(crate) fn blob(sha256: &Sha256) -> Blob {
    let file = |variant, content_type: &str| StoredFile {
        variant,
        key: file_key(sha256, variant).unwrap(),
        content_type: content_type.to_owned(),
        size: u64::MAX / 3,
        width: 480,
        height: 270,
        sha256: sha256.clone(),
    };
    Blob {
        sha256: sha256.clone(),
        files: vec![file(Variant::Original, "image/gif"), file(Variant::Poster, "image/webp")],
        frames: 12,
        duration_ms: 1_200,
        raw_duration_ms: 120,
        plays: 0,
        defects: vec!["missing_trailer".to_owned(), "replaced_delay".to_owned()],
        created_at: at(1),
    }
}

/// A new GIF and what became of it.
pub(crate) fn outcome(verdict: Verdict) -> Outcome {
    let id = GifId(UuidV7.next());
    Outcome { id, url: format!("https://media.example/{id}.gif"), verdict, at: at(2) }
}

pub(crate) fn refused() -> Outcome {
    outcome(Verdict::Refused { refusal: Refusal::NotAGif, detail: Some("the file is WebP, not a GIF".to_owned()) })
}

/// An event that reports something about the GIF.
pub(crate) fn answer(id: GifId) -> Event {
    let refused = MediaRefused { id, refusal: Refusal::Gone, detail: None, refused_at: at(3) };
    Event::new(UuidV7.next(), SOURCE, at(3), &refused).unwrap()
}

/// The receipt of a new event.
pub(crate) fn receipt() -> Receipt {
    Receipt { group: "gif-files.downloader".to_owned(), event: UuidV7.next(), at: at(4) }
}
