//! Ports: the interfaces that the service needs adapters for.
//!
//! Every store passes the same conformance suite, which tests the statements below one by one.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::{BoxError, CodecError, ErrorKind, Event, ObjectKey, Order, Receipt, RepoError, Timestamp};

use crate::{Breed, BreedCount, Dog, DogId, Revision};

/// What a store can do. Tests read it; no code checks for the name of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// An insert with an existing id fails with [`RepoError::Conflict`]; otherwise the later insert may win.
    pub unique_ids: bool,
    /// A write and its events are committed in one transaction; otherwise the row itself contains its events.
    pub transactions: bool,
}

/// A query for a page of dogs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DogQuery {
    /// Only dogs of exactly this breed; a sub-breed is another breed.
    pub breed: Option<Breed>,
    /// Only dogs after this id in the given order. No dog needs to have this id.
    pub after: Option<DogId>,
    /// The order of the ids.
    pub order: Order,
    /// Maximum number of dogs; 0 returns none.
    pub limit: u32,
}

/// A client's key for a request that must take effect once, with a fingerprint of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's key; compared byte by byte.
    pub key: String,
    /// SHA-256 of the request. The same key with another fingerprint is a client error.
    pub fingerprint: [u8; 32],
}

/// The result of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The dog and its events are stored.
    New,
    /// The same request was executed before; this is the dog as it was created then, even if it was changed or deleted
    /// since. Nothing was stored.
    Replayed(Box<Dog>),
    /// The key was used for a different request. Nothing was stored.
    KeyReused,
}

/// The result of recording a thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThumbnailSet {
    /// The thumbnail is recorded, with its receipt and events.
    Recorded,
    /// The receipt was already recorded. Nothing was stored.
    Seen,
    /// The dog was deleted or has another image now. Only the receipt was stored.
    Outdated,
}

/// One batch of an import; committed completely or not at all.
#[derive(Debug, Clone)]
pub struct ImportBatch {
    /// The key of the import.
    pub import: String,
    /// The dogs. Their ids must be the same when the same lines are sent again.
    pub dogs: Vec<Dog>,
    /// Number of processed lines after this batch, counted from the start of the import.
    pub lines: u64,
    /// SHA-256 of those lines; stored to detect a retry with different lines.
    pub digest: [u8; 32],
    /// The time of the batch.
    pub at: Timestamp,
}

/// The progress of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// When the import was first started; the ids of its dogs are derived from it.
    pub started_at: Timestamp,
    /// Number of processed lines.
    pub lines: u64,
    /// SHA-256 of those lines, from the last batch; all zeros while `lines` is 0.
    pub digest: [u8; 32],
}

/// Creates the event of an import batch from the number of new dogs in the batch, which only the store knows.
pub type ImportEvent<'a> = &'a (dyn Fn(u64) -> Result<Event, CodecError> + Send + Sync);

/// Stores dogs. The caller supplies ids, times and the events of a change.
///
/// Durability: every writing method commits the change, its events and its receipt or idempotency key atomically. When
/// it returns successfully, they are durable; after a crash, either all of them are stored or none.
///
/// Reads: a dog is read as it was written, with times in milliseconds. A read after a successful write of the same
/// process returns that write or a later one.
///
/// Events are appended to the outbox in the order given. A call that stores nothing appends no event.
///
/// Errors: [`RepoError::Unavailable`] when a retry can succeed, [`RepoError::Corrupt`] when stored data cannot be read,
/// [`RepoError::Backend`] otherwise. After an error of a writing method other than [`RepoError::Conflict`], it is
/// unknown whether the change was committed, except where a method says that nothing is stored.
#[async_trait]
pub trait DogRepository: Send + Sync + 'static {
    /// Stores a new dog.
    ///
    /// - Fails with [`RepoError::Conflict`] on an existing id, where `unique_ids` is set; neither events nor key are
    ///   stored.
    /// - With a key that was used for the same request: [`Inserted::Replayed`], and the key counts as used at
    ///   `dog.created_at`.
    /// - With a key that was used for a different request: [`Inserted::KeyReused`].
    /// - Of several concurrent calls with the same key, exactly one returns [`Inserted::New`].
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError>;

    /// The dog with this id; `None` when there is none.
    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError>;

    /// Up to `limit` dogs, sorted by id in the given order.
    ///
    /// Pages that continue after the last id of the previous page return every dog exactly once, as long as it exists
    /// during the whole iteration, also while others are inserted or deleted.
    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError>;

    /// Replaces every field of the dog if it is at revision `expected`.
    ///
    /// - Returns false and stores nothing when the dog is at another revision or does not exist.
    /// - Of several concurrent calls that expect the same revision, exactly one returns true.
    /// - A thumbnail that was recorded since the caller read the dog is retained if the dog still has the same image.
    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError>;

    /// Deletes the dog if it is at revision `expected`.
    ///
    /// Returns false and stores nothing when the dog is at another revision or does not exist. Idempotency keys stay.
    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError>;

    /// Records the thumbnail of the dog's image `photo`.
    ///
    /// - The revision does not change, so that a concurrent change by a user does not fail.
    /// - Each receipt takes effect at most once: later calls return [`ThumbnailSet::Seen`].
    /// - When the dog does not exist or has another image, only the receipt is stored: [`ThumbnailSet::Outdated`].
    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError>;

    /// The number of dogs of each breed, sorted by breed; breeds without dogs are omitted.
    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError>;
}

/// Stores the dogs of imports, and the progress of each import, so that it can be resumed.
///
/// Durability, reads, events and errors are those of [`DogRepository`].
#[async_trait]
pub trait DogImports: Send + Sync + 'static {
    /// Starts an import, or returns the progress of one that was started before. The import counts as used at `now`.
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError>;

    /// Stores the dogs of a batch whose ids do not exist yet, and the progress of the import.
    ///
    /// - Returns the ids that existed already; their dogs stay unchanged. Of several rows with the same id, the first
    ///   one is stored.
    /// - Appends the event only if at least one dog was new. When creating the event fails, nothing is stored.
    /// - A batch whose lines were already processed stores nothing and returns no ids.
    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError>;
}

/// Removes what no request needs any more.
#[async_trait]
pub trait DogRetention: Send + Sync + 'static {
    /// Removes one batch of old data: at most `limit` idempotency keys last used before `before`, and at most `limit`
    /// imports last used before `before`, oldest first.
    ///
    /// - Returns the number of removed keys and imports; 0 when nothing is old, so call it until then.
    /// - Each kind is removed in its own short transaction; a removed batch stays removed when the next one fails.
    /// - A store that deletes whole files may remove more than `limit`.
    /// - A request with a removed key is executed again.
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError>;
}

/// An image, completely in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The content of the file.
    pub bytes: Bytes,
    /// The URL that it was downloaded from, if any.
    pub url: Option<String>,
}

/// An image that no thumbnail can be created from.
#[derive(Debug, thiserror::Error)]
#[error("the image cannot be used: {reason}")]
pub struct PictureRefused {
    /// The reason, for the client.
    pub reason: String,
    /// The error of the decoder.
    pub source: BoxError,
}

/// Checks images before they are stored.
#[async_trait]
pub trait PictureCheck: Send + Sync + 'static {
    /// Rejects every image that no thumbnail can be created from: damaged or truncated ones, and ones that need more
    /// memory to decode than configured. Takes up to as long as creating the thumbnail.
    async fn check(&self, picture: Bytes) -> Result<(), PictureRefused>;
}

/// Why the source of dogs failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source is unreachable or reports an overload.
    #[error("the source of dogs is unavailable")]
    Unavailable {
        /// When to retry, if known.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The source did not respond in time.
    #[error("the source of dogs did not respond in time")]
    Timeout(#[source] BoxError),
    /// The response violates the source's contract, or policy rejects it.
    #[error("the source of dogs sent an unusable response")]
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

/// A source of dog images.
#[async_trait]
pub trait DogSource: Send + Sync + 'static {
    /// Every breed and sub-breed that it has images of, sorted by name.
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError>;

    /// A random image of the breed, with at most `max_bytes` bytes. `None` when the source does not have the breed.
    async fn picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError>;
}
