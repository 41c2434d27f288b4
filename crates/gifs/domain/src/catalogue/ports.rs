//! Ports of the Catalogue: its store, and the providers.
//!
//! Every store and every provider passes the conformance suite of its port, which tests the statements below one by one.

use std::time::Duration;

use async_trait::async_trait;
use gifs_contracts::GifId;
use kennel_core::{BoxError, Event, Receipt, RepoError, Timestamp};

use super::{Details, Gif, GifKey, GifState, Language, Provider, Rating, SearchText, StateName};

/// A GIF that was found, as it is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The GIF, in the state [`GifState::Known`] or [`GifState::Fetching`].
    pub gif: Gif,
    /// The event that asks Media for its bytes; for the state [`GifState::Fetching`], if nobody has asked yet.
    pub event: Option<Event>,
}

/// The result of Media for a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The GIF.
    pub id: GifId,
    /// Its new state, [`GifState::Stored`] or [`GifState::Refused`].
    pub state: GifState,
    /// When.
    pub at: Timestamp,
    /// The receipt of Media's event.
    pub receipt: Receipt,
    /// The event that reports the change.
    pub event: Event,
}

/// What a [`Settlement`] has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The state, with the receipt and the event.
    Changed,
    /// Nothing but the receipt: the GIF has a final state already.
    Final,
    /// Nothing but the receipt: no GIF has this id.
    Unknown,
    /// Nothing: the receipt was already recorded.
    Seen,
}

/// A query for a page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GifQuery {
    /// Only GIFs with all of these words among [`Details::words`].
    pub words: Vec<String>,
    /// Only GIFs of this rating or a lower one.
    pub rating: Rating,
    /// Only GIFs in this state, if it is given.
    pub state: Option<StateName>,
    /// Only GIFs with ids below this one, if it is given. No GIF needs to have this id.
    pub after: Option<GifId>,
    /// Maximum number of GIFs; 0 returns none.
    pub limit: u32,
}

/// Stores GIFs. The caller supplies ids, times and the events of a change.
///
/// Durability: every writing method commits all its changes, their events and the receipt atomically. When it returns
/// successfully, they are durable; after a crash, either all of them are stored or none.
///
/// Reads: a GIF is read as it was written, with times in milliseconds. A read after a successful write of the same process
/// returns that write or a later one.
///
/// States only move forward ([`GifState::precedes`]), whatever the order of the calls.
///
/// Errors: [`RepoError::Unavailable`] when a retry can succeed, [`RepoError::Corrupt`] when stored data cannot be read,
/// [`RepoError::Backend`] otherwise. After an error of a writing method it is unknown whether the change was committed.
#[async_trait]
pub trait GifRepository: Send + Sync + 'static {
    /// Adds the GIFs whose keys are not stored yet, and replaces the details of the others. Returns all of them as
    /// stored, in the order of `found`, which has each key once.
    ///
    /// - A new GIF is stored with its event. Of several concurrent calls with one new key, exactly one stores its GIF and
    ///   its event; the others return that GIF.
    /// - An existing GIF retains its id, key, rating and time of creation. Its details, words and time of change are
    ///   replaced if the details differ.
    /// - A stored GIF with the same id in the state [`GifState::Known`] moves to [`GifState::Fetching`] if it is given so,
    ///   with the event and the time of change; of several concurrent calls, exactly one moves it. No other event is
    ///   appended.
    async fn upsert(&self, found: &[Discovery]) -> Result<Vec<Gif>, RepoError>;

    /// Moves a GIF to a final state.
    ///
    /// - Each receipt takes effect at most once: later calls return [`Settled::Seen`].
    /// - Of several concurrent calls with different receipts, exactly one changes the state.
    /// - The event is appended only if the state changed.
    async fn settle(&self, settlement: &Settlement) -> Result<Settled, RepoError>;

    /// The GIF with this id; `None` when there is none.
    async fn find(&self, id: GifId) -> Result<Option<Gif>, RepoError>;

    /// The GIFs with these keys, in any order; a key that is not stored has none.
    async fn find_by_keys(&self, keys: &[GifKey]) -> Result<Vec<Gif>, RepoError>;

    /// Up to `limit` GIFs, newest first.
    ///
    /// Pages that continue after the last id of the previous page return every GIF exactly once, as long as it matches
    /// during the whole iteration, also while others are added.
    async fn list(&self, query: &GifQuery) -> Result<Vec<Gif>, RepoError>;
}

/// What to find at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// What matches a text.
    Search(SearchText),
    /// What is popular.
    Trending,
    /// One at random, which matches the text if it is given.
    Random(Option<SearchText>),
}

/// A request to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindRequest {
    /// What to find.
    pub wanted: Wanted,
    /// The highest rating.
    pub rating: Rating,
    /// The language of the text, if it is known.
    pub language: Option<Language>,
    /// Maximum number of GIFs: 1 to [`FindRequest::MAX_SIZE`].
    pub size: u32,
    /// [`FoundPage::next`] of the previous page; 0 for the first.
    pub position: u32,
}

impl FindRequest {
    /// The largest page, which every provider has.
    pub const MAX_SIZE: u32 = 50;
}

/// A GIF in the response of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundGif {
    /// What identifies it.
    pub key: GifKey,
    /// Its rating; that of the request if the provider reports none.
    pub rating: Rating,
    /// What the provider says about it.
    pub details: Details,
}

/// A page of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPage {
    /// The GIFs, in the order of the provider; empty when nothing matches.
    pub gifs: Vec<FoundGif>,
    /// Where the next page starts; `None` on the last page. Only the adapter knows what the number means.
    pub next: Option<u32>,
}

/// Why a provider found nothing. No text contains the key of the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It does not answer, or it is not asked because it failed too often.
    #[error("provider is unavailable")]
    Unavailable {
        /// When to retry, if known.
        retry_after: Option<Duration>,
        /// Cause.
        #[source]
        source: Option<BoxError>,
    },
    /// No more calls are allowed until the quota is renewed.
    #[error("quota of the provider is used up")]
    OverQuota {
        /// When to retry.
        retry_after: Duration,
    },
    /// It does not accept our key.
    #[error("provider does not accept the key")]
    KeyRefused,
    /// Its response has another shape than documented, or an unexpected status.
    #[error("response of the provider is not understood")]
    Malformed(#[source] BoxError),
}

impl ProviderError {
    /// When to retry, if known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::OverQuota { retry_after } => Some(*retry_after),
            Self::KeyRefused | Self::Malformed(_) => None,
        }
    }
}

/// Finds GIFs at a provider.
///
/// Items without a usable GIF and advertisements are left out. A response in which nothing matches is an empty page, not an
/// error. Each call is at most one request to the provider, because requests count towards its quota. It ends within the
/// configured timeout. Errors of requests that were sent are logged here; callers do not log them again.
#[async_trait]
pub trait GifProvider: Send + Sync + 'static {
    /// Which provider it is.
    fn provider(&self) -> Provider;

    /// Whether its terms allow to store the bytes of its GIFs.
    fn stores_media(&self) -> bool;

    /// Text that has to be shown where its GIFs are shown; empty if there is none.
    fn attribution(&self) -> &'static str;

    /// Finds a page of GIFs.
    async fn find(&self, request: &FindRequest) -> Result<FoundPage, ProviderError>;
}
