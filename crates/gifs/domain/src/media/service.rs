//! The use cases of Media.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use gifs_contracts::{GifId, MediaRefused, MediaStored, Sha256};
use kennel_core::objects::{ByteStream, InvalidObjectKey, ObjectError, PutOptions};
use kennel_core::{
    BoxError, Clock, CodecError, ErrorKind, Event, EventType, IdSource, ObjectKey, ObjectStore, Receipt, RepoError,
    ServiceError, TraceContext,
};

use super::model::{Blob, Outcome, StoredFile, Variant, Verdict, file_key};
use super::ports::{BlobRepository, FetchError, Fetched, Fetcher, NewFile, Settling};

/// The CloudEvents `source` of the events of Media.
pub const SOURCE: &str = "/gifs/media";

/// An object that exists for longer than this and has no blob could be removed by a reconciliation at any moment, so it is
/// stored anew before it gets one.
const FRESH: Duration = Duration::from_mins(1);

/// Why a call to [`MediaService`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No blob has this hash.
    #[error("no blob has the hash {0}")]
    UnknownBlob(Sha256),
    /// The blob has no such variant.
    #[error("the blob {sha256} has no variant {}", variant.name())]
    UnknownVariant {
        /// The blob.
        sha256: Sha256,
        /// The variant.
        variant: Variant,
    },
    /// The object of a file is lost.
    #[error("the object {0} is lost")]
    LostObject(ObjectKey),
    /// An object has another size than its file.
    #[error("the object {key} has {found} bytes instead of {expected}")]
    WrongSize {
        /// The object.
        key: ObjectKey,
        /// Its size in bytes.
        found: u64,
        /// The size of the file in bytes.
        expected: u64,
    },
    /// The provider does not return the file now.
    #[error("the provider is unavailable")]
    Upstream(#[source] BoxError),
    /// Downloads cannot be written.
    #[error("downloads cannot be written")]
    Local(#[source] BoxError),
    /// The Catalogue does not answer.
    #[error("the catalogue is unavailable")]
    Catalogue(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// A key cannot be created; a bug of the service.
    #[error(transparent)]
    Key(#[from] InvalidObjectKey),
    /// An event cannot be serialized; a bug of the service.
    #[error("event cannot be serialized")]
    Event(#[from] CodecError),
}

impl ServiceError for MediaError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownBlob(_) | Self::UnknownVariant { .. } => ErrorKind::NotFound,
            Self::Upstream(_) | Self::Local(_) | Self::Catalogue(_) => ErrorKind::Unavailable,
            Self::Repo(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::LostObject(_) | Self::WrongSize { .. } | Self::Key(_) | Self::Event(_) => ErrorKind::Internal,
        }
    }
}

/// What [`MediaService`] works with.
#[derive(Clone)]
pub struct MediaPorts {
    /// The store.
    pub blobs: Arc<dyn BlobRepository>,
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// Downloads.
    pub fetcher: Arc<dyn Fetcher>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdSource>,
    /// Returns the trace context of the current work.
    pub trace: fn() -> Option<TraceContext>,
}

/// The operations on blobs, independent of protocols.
#[derive(Clone)]
pub struct MediaService {
    pub(super) ports: MediaPorts,
}

impl MediaService {
    /// Creates a service.
    pub const fn new(ports: MediaPorts) -> Self {
        Self { ports }
    }

    /// Stores the bytes of a GIF, or refuses them, and reports it with one event. A GIF whose outcome is known is reported
    /// again with that outcome.
    ///
    /// Its steps are: download and check, store the objects, then commit the rows, the event and the receipt together. After a
    /// crash at any point it can run again; an interrupted run leaves at most objects without a row, which the next one finds.
    /// After an error, a later call may succeed.
    pub async fn store(&self, id: GifId, url: &str, receipt: &Receipt) -> Result<(), MediaError> {
        if let Some(outcome) = self.ports.blobs.outcome(id).await? {
            return self.answer(&outcome, receipt).await;
        }
        let fetched = self.ports.fetcher.fetch(url).await;
        self.settle(id, url, fetched, receipt).await
    }

    /// Stores what was fetched, or that it is refused, and reports it.
    pub(super) async fn settle(
        &self,
        id: GifId,
        url: &str,
        fetched: Result<Fetched, FetchError>,
        receipt: &Receipt,
    ) -> Result<(), MediaError> {
        let (verdict, blob) = match fetched {
            Ok(fetched) => {
                let blob = self.store_files(&fetched).await?;
                (Verdict::Stored(blob.sha256.clone()), Some(blob))
            }
            Err(FetchError::Refused { refusal, detail }) => (Verdict::Refused { refusal, detail: Some(detail) }, None),
            Err(FetchError::Unavailable(error)) => return Err(MediaError::Upstream(error)),
            Err(FetchError::Local(error)) => return Err(MediaError::Local(error)),
        };
        let outcome = Outcome { id, url: url.to_owned(), verdict, at: self.ports.clock.now() };
        let answer = self.event(&outcome, blob.as_ref())?;
        match self.ports.blobs.settle(&outcome, blob.as_ref(), &answer, receipt).await {
            Ok(Settling::Recorded | Settling::Seen) => Ok(()),
            // Another member of the group was faster, or another event named the same GIF.
            Err(RepoError::Conflict) => match self.ports.blobs.outcome(id).await? {
                Some(outcome) => self.answer(&outcome, receipt).await,
                None => Err(RepoError::Conflict.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Reports again what became of a GIF.
    pub(super) async fn answer(&self, outcome: &Outcome, receipt: &Receipt) -> Result<(), MediaError> {
        let blob = match &outcome.verdict {
            Verdict::Stored(sha256) => Some(self.get(sha256).await?),
            Verdict::Refused { .. } => None,
        };
        self.ports.blobs.answer(&self.event(outcome, blob.as_ref())?, receipt).await?;
        Ok(())
    }

    /// The event that reports an outcome, with its blob if it was stored.
    fn event(&self, outcome: &Outcome, blob: Option<&Blob>) -> Result<Event, MediaError> {
        let id = outcome.id;
        match (&outcome.verdict, blob) {
            (Verdict::Refused { refusal, detail }, _) => {
                let refused = MediaRefused { id, refusal: *refusal, detail: detail.clone(), refused_at: outcome.at };
                self.envelope(outcome, &refused)
            }
            (Verdict::Stored(sha256), blob) => {
                let original = blob.and_then(|blob| Some((blob, blob.file(Variant::Original)?)));
                let (blob, file) = original.ok_or_else(|| MediaError::UnknownBlob(sha256.clone()))?;
                let stored = MediaStored {
                    id,
                    sha256: sha256.clone(),
                    size: file.size,
                    width: file.width,
                    height: file.height,
                    frames: blob.frames,
                    duration_ms: blob.duration_ms,
                    stored_at: outcome.at,
                };
                self.envelope(outcome, &stored)
            }
        }
    }

    fn envelope<E: EventType>(&self, outcome: &Outcome, data: &E) -> Result<Event, MediaError> {
        let mut event = Event::new(self.ports.ids.next(), SOURCE, outcome.at, data)?;
        event.trace = (self.ports.trace)();
        Ok(event)
    }

    /// Stores the files, each under its key.
    async fn store_files(&self, fetched: &Fetched) -> Result<Blob, MediaError> {
        let is_known = self.ports.blobs.find(&fetched.sha256).await?.is_some();
        let stored = fetched.files.iter().map(|file| self.store_file(&fetched.sha256, file, is_known));
        let mut files = try_join_all(stored).await?;
        if let Some(original) = files.first()
            && files.iter().all(|file| file.variant != Variant::Small)
        {
            files.push(StoredFile { variant: Variant::Small, ..original.clone() });
        }
        Ok(Blob {
            sha256: fetched.sha256.clone(),
            files,
            frames: fetched.frames,
            duration_ms: fetched.duration_ms,
            raw_duration_ms: fetched.raw_duration_ms,
            plays: fetched.plays,
            defects: fetched.defects.clone(),
            created_at: self.ports.clock.now(),
        })
    }

    /// Stores a file unless its object exists. The name of an original is the hash of its bytes, so an existing object has the
    /// same bytes; one that was derived by another version of this service is replaced.
    async fn store_file(&self, blob: &Sha256, file: &NewFile, is_known: bool) -> Result<StoredFile, MediaError> {
        let key = file_key(blob, file.variant)?;
        let mut stored = self.put(&key, file, true).await?;
        let is_stale = !is_known && self.ports.clock.now().since(stored.modified) > FRESH;
        if is_stale || stored.size != file.size {
            stored = self.put(&key, file, false).await?;
        }
        if stored.size != file.size {
            return Err(MediaError::WrongSize { key, found: stored.size, expected: file.size });
        }
        Ok(StoredFile {
            variant: file.variant,
            key,
            content_type: file.content_type.to_owned(),
            size: file.size,
            width: file.width,
            height: file.height,
            sha256: file.sha256.clone(),
        })
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        file: &NewFile,
        skip_existing: bool,
    ) -> Result<kennel_core::objects::ObjectMeta, MediaError> {
        let content_type = Some(file.content_type.to_owned());
        let options = PutOptions { content_type, max_bytes: file.size, skip_existing };
        Ok(self.ports.objects.put(key, (file.body)(), &options).await?)
    }

    /// Checks that the object store responds.
    pub async fn ping_objects(&self) -> Result<(), MediaError> {
        Ok(self.ports.objects.ping().await?)
    }

    /// The blob with this hash.
    pub async fn get(&self, sha256: &Sha256) -> Result<Blob, MediaError> {
        let blob = self.ports.blobs.find(sha256).await?;
        blob.ok_or_else(|| MediaError::UnknownBlob(sha256.clone()))
    }

    /// A file of a blob, with the bytes of a range as far as they exist.
    pub async fn open(
        &self,
        sha256: &Sha256,
        variant: Variant,
        range: Option<Range<u64>>,
    ) -> Result<(StoredFile, ByteStream), MediaError> {
        let blob = self.get(sha256).await?;
        let unknown = || MediaError::UnknownVariant { sha256: sha256.clone(), variant };
        let file = blob.file(variant).cloned().ok_or_else(unknown)?;
        match self.ports.objects.get(&file.key, range).await? {
            Some((_, body)) => Ok((file, body)),
            None => Err(MediaError::LostObject(file.key)),
        }
    }
}
