//! What the service needs from outside.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::{BoxError, ErrorKind, Event, ObjectKey, Order, Receipt, RepoError, Timestamp};

use crate::{Breed, BreedCount, Dog, DogId, Revision};

/// What a store can and cannot do; tests read it, no one asks for a store's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// An insert of a taken id fails with [`RepoError::Conflict`]; otherwise the later one may win.
    pub unique_ids: bool,
    /// A write and its events commit together in one transaction; otherwise the row carries its event.
    pub transactions: bool,
}

/// Which dogs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DogQuery {
    /// Only dogs of exactly this breed.
    pub breed: Option<Breed>,
    /// Only dogs behind this id in the order asked for.
    pub after: Option<DogId>,
    /// Which way, by id.
    pub order: Order,
    /// How many at most.
    pub limit: u32,
}

/// A caller's name for a request that must take effect once, and what tells that request from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's key.
    pub key: String,
    /// A digest of the request: the same key with another digest is a mistake of the caller's.
    pub fingerprint: [u8; 32],
}

/// What became of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The dog and its events are stored.
    New,
    /// The same request was carried out before; this is the dog as it was made then. Nothing was stored.
    Replayed(Box<Dog>),
    /// The key was used for another request. Nothing was stored.
    KeyReused,
}

/// What became of a thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThumbnailSet {
    /// It is recorded, with its receipt and events.
    Recorded,
    /// The receipt was there already. Nothing was stored.
    Seen,
    /// The dog is gone or has another picture by now; only the receipt was stored.
    Outdated,
}

/// One step of an import; commits whole or not at all.
#[derive(Debug, Clone)]
pub struct ImportBatch {
    /// Which import.
    pub import: String,
    /// The dogs, with ids that a repetition of the same lines would have again.
    pub dogs: Vec<Dog>,
    /// Lines of the import that are dealt with once this batch is in, counted from its start.
    pub lines: u64,
    /// SHA-256 of those lines; kept, so that a repetition with other lines is noticed.
    pub digest: [u8; 32],
    /// When.
    pub at: Timestamp,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// When it was first begun; the ids of its dogs derive from it.
    pub started_at: Timestamp,
    /// Lines dealt with.
    pub lines: u64,
    /// SHA-256 of those lines, as the last batch gave it; all zero while `lines` is 0.
    pub digest: [u8; 32],
}

/// Makes the event that tells of a batch, once the store knows how many dogs of the batch were new.
pub type ImportEvent<'a> = &'a (dyn Fn(u64) -> Result<Event, serde_json::Error> + Send + Sync);

/// Keeps dogs. The caller supplies ids, times and the events that a change causes.
///
/// Every writing call commits the change, its events and its receipt or key together: after a crash either all
/// are there or none. A dog read back equals the dog written, to the millisecond.
#[async_trait]
pub trait DogRepository: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Stores a new dog. Fails with [`RepoError::Conflict`] on a taken id, where `unique_ids` holds.
    /// Of several calls with one idempotency key at once, exactly one is [`Inserted::New`].
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError>;

    /// The dog with this id.
    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError>;

    /// Up to `limit` dogs, by id in the order asked for.
    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError>;

    /// Replaces the dog if it is at revision `expected`. False, and nothing stored, when it is not or is gone.
    /// Of several calls that expect one revision, exactly one is true. A thumbnail recorded meanwhile stays with its
    /// picture.
    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError>;

    /// Removes the dog if it is at revision `expected`. False, and nothing stored, when it is not or is gone.
    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError>;

    /// Records the small copy of the dog's picture `photo`, without a new revision, at most once for each receipt.
    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError>;

    /// How many dogs each breed has, by breed; breeds without dogs are left out.
    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError>;

    /// Begins the import, or takes it up where it was left.
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError>;

    /// Stores the dogs of a batch whose ids are not taken yet, the progress, and, where any dog was new, the event.
    /// A batch whose lines are dealt with already stores nothing. Answers the ids that were taken.
    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError>;

    /// Forgets one batch: at most `limit` idempotency keys last used before `before`, and at most `limit` imports as
    /// old, each kind in a short transaction of its own, the oldest first. Answers how many, keys and imports together;
    /// 0 once nothing as old is left, so whoever calls until then removes all. A batch that is done stays done, whatever
    /// becomes of the next one. A store that removes whole files at a time may take more than `limit`. What is forgotten
    /// can no longer make a repetition harmless.
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError>;
}

/// A picture, whole in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// Where it came from, when that is a URL.
    pub url: Option<String>,
}

/// A picture that no small copy can be made of.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be used: {reason}")]
pub struct PictureRefused {
    /// Why, for whoever sent it.
    pub reason: String,
    /// What the decoder reported.
    pub source: BoxError,
}

/// Looks at pictures before they are stored.
#[async_trait]
pub trait PictureCheck: Send + Sync + 'static {
    /// Refuses every picture that no small copy can be made of: one that is damaged or cut short, or that takes more to
    /// decode than there is for it. It may take as long as making the small copy.
    async fn check(&self, picture: Bytes) -> Result<(), PictureRefused>;
}

/// Why the source of dogs failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It does not answer.
    #[error("the source of dogs is unavailable")]
    Unavailable {
        /// When to try again, where that is known.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// It did not answer in time.
    #[error("the source of dogs did not answer in time")]
    Timeout(#[source] BoxError),
    /// It answered with something that is not of its contract, or that policy refuses.
    #[error("the source of dogs answered with something unusable")]
    Unusable(#[source] BoxError),
}

impl SourceError {
    /// The kind that protocols show.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Unusable(_) => ErrorKind::BadUpstream,
        }
    }
}

/// Where pictures of dogs come from.
#[async_trait]
pub trait DogSource: Send + Sync + 'static {
    /// Every breed and sub-breed it has pictures of, by name.
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError>;

    /// A random picture of the breed, of at most `max_bytes`. `None` when it has no such breed.
    async fn picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError>;
}
