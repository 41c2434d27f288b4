//! What Media needs from outside.

use async_trait::async_trait;
use gifs_contracts::{GifId, Refusal, Sha256};
use kennel_core::objects::ByteStream;
use kennel_core::{BoxError, Event, Receipt, RepoError, Timestamp};

use super::model::{Blob, Outcome, Variant};

/// The result of [`BlobRepository::settle`] and [`BlobRepository::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// Everything was stored.
    Recorded,
    /// The group has a receipt for the event already; nothing was stored.
    Seen,
}

/// Stores blobs, and what became of each GIF.
///
/// - Every store passes the same conformance suite, which tests these statements.
/// - When a writing method returns successfully, its change is durable, with its event and its receipt; after a crash, either
///   all of it is stored or nothing.
/// - Data are read as they were written. A read after a successful write of the same process returns that write.
/// - Errors: [`RepoError::Unavailable`] when a retry can succeed, [`RepoError::Corrupt`] when stored data cannot be read,
///   [`RepoError::Backend`] otherwise. After an error of a writing method other than [`RepoError::Conflict`], it is unknown
///   whether the change was committed.
#[async_trait]
pub trait BlobRepository: Send + Sync + 'static {
    /// Stores what became of a GIF, its blob if it was stored, the event that reports it, and the receipt of the event that
    /// asked for it. A blob that exists stays as it is.
    ///
    /// Fails with [`RepoError::Conflict`] if it is known what became of the GIF, and then stores nothing: an outcome never
    /// changes. Of several concurrent calls for one GIF, exactly one is recorded.
    async fn settle(
        &self,
        outcome: &Outcome,
        blob: Option<&Blob>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError>;

    /// Stores an event that reports again what became of a GIF, and the receipt.
    async fn answer(&self, answer: &Event, receipt: &Receipt) -> Result<Settling, RepoError>;

    /// What became of this GIF; `None` while that is not known.
    async fn outcome(&self, id: GifId) -> Result<Option<Outcome>, RepoError>;

    /// Up to `limit` outcomes of GIFs with ids below `before`, in descending order of their ids.
    async fn list_outcomes(&self, before: Option<GifId>, limit: u32) -> Result<Vec<Outcome>, RepoError>;

    /// The blob with this hash; `None` when there is none.
    async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError>;

    /// Up to `limit` blobs with hashes above `after`, in the order of their hashes.
    async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError>;

    /// Where the bytes of a blob were downloaded: the URLs of up to `limit` of its GIFs.
    async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError>;
}

/// A file that is not stored yet.
pub struct NewFile {
    /// Which file of the blob it is.
    pub variant: Variant,
    /// Its content type.
    pub content_type: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The hash of its bytes.
    pub sha256: Sha256,
    /// Reads its bytes, from the start at each call.
    pub body: Box<dyn Fn() -> ByteStream + Send + Sync>,
}

/// A downloaded GIF that can be shown. Its files exist as long as this value.
pub struct Fetched {
    /// The original first, and what was derived from it.
    pub files: Vec<NewFile>,
    /// The hash of the original bytes.
    pub sha256: Sha256,
    /// Number of frames.
    pub frames: u32,
    /// Duration of one loop in milliseconds, as browsers play it.
    pub duration_ms: u64,
    /// Duration of one loop in milliseconds, by the delays in the file.
    pub raw_duration_ms: u64,
    /// How often it is played; 0 is without end.
    pub plays: u32,
    /// What is unusual about it.
    pub defects: Vec<String>,
}

/// Why a GIF could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It cannot be stored, now or later.
    #[error("{refusal}: {detail}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Details for an operator, without a URL.
        detail: String,
    },
    /// The provider does not return it now; a later attempt may succeed.
    #[error("the file cannot be fetched now")]
    Unavailable(#[source] BoxError),
    /// There is no room for the download here: that concerns every GIF.
    #[error("the download cannot be written")]
    Local(#[source] BoxError),
}

/// Downloads GIFs, checks them before they are decoded, and creates their versions.
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// Fetches the GIF at this URL, which is untrusted.
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchError>;
}

/// What the Catalogue knows about a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueGif {
    /// The GIF.
    pub id: GifId,
    /// Where its provider serves it.
    pub url: Option<String>,
    /// What the Catalogue knows about its bytes.
    pub state: CatalogueState,
    /// When the Catalogue last changed it.
    pub changed_at: Timestamp,
}

/// What the Catalogue knows about the bytes of a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueState {
    /// They stay at the provider.
    Known,
    /// Media was asked to store them.
    Fetching,
    /// Media reported that they are stored.
    Stored(Sha256),
    /// Media reported that they cannot be stored.
    Refused(Refusal),
}

/// A page of the GIFs of the Catalogue, in descending order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CataloguePage {
    /// The GIFs.
    pub gifs: Vec<CatalogueGif>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<String>,
}

/// Reads the Catalogue, which is another service.
#[async_trait]
pub trait CatalogueReader: Send + Sync + 'static {
    /// A page of all GIFs: the first one, or the one that starts here.
    async fn page(&self, start: Option<&str>) -> Result<CataloguePage, BoxError>;

    /// The GIF with this id; `None` when there is none.
    async fn find(&self, id: GifId) -> Result<Option<CatalogueGif>, BoxError>;
}
