//! The use cases of the Catalogue, independent of protocols, stores and providers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gifs_contracts::{GifDiscovered, GifId, GifSettled, MediaRefused, MediaStored};
use kennel_core::{
    Clock, CodecError, Cursor, ErrorKind, Event, EventType, IdSource, Page, PageSize, Receipt, RepoError, ServiceError,
    Timestamp, TraceContext,
};

use super::{
    Discovery, FindRequest, FoundGif, Gif, GifKey, GifProvider, GifQuery, GifRepository, GifState, MediaFacts,
    Position, Provider, ProviderError, Rating, Settled, Settlement, StateName, Wanted, words,
};

/// The CloudEvents `source` of the Catalogue's events.
pub const SOURCE: &str = "/gifs/catalogue";

/// When to retry if no provider says so.
const DEFAULT_RETRY: Duration = Duration::from_secs(10);

/// GIFs that were found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The GIFs, in the order of what answered.
    pub gifs: Vec<Gif>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Position>,
    /// What answered.
    pub origin: Origin,
    /// Text that has to be shown next to the GIFs; may be empty.
    pub attribution: String,
    /// When it answered.
    pub at: Timestamp,
}

/// What answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A provider.
    Provider(Provider),
    /// The catalogue itself, because no provider answered.
    Catalogue {
        /// After how long a provider may answer again.
        retry_after: Duration,
    },
}

/// Why a call to [`CatalogueService`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// No GIF has this id.
    #[error("no gif has the id {0}")]
    UnknownGif(GifId),
    /// Nothing matches the request for a random GIF.
    #[error("no gif matches")]
    NothingMatches,
    /// The page is one of a provider that is not configured.
    #[error("the page is not from an earlier page")]
    UnknownPage,
    /// No provider answers, and the catalogue has nothing that matches.
    #[error("no provider of gifs answers")]
    NoProvider {
        /// After how long a provider may answer again.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// An event could not be encoded; a bug of the service.
    #[error("event cannot be encoded")]
    Event(#[from] CodecError),
}

impl ServiceError for CatalogueError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownGif(_) | Self::NothingMatches => ErrorKind::NotFound,
            Self::UnknownPage => ErrorKind::Invalid,
            Self::NoProvider { .. } => ErrorKind::Unavailable,
            Self::Repo(error) => error.kind(),
            Self::Event(_) => ErrorKind::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoProvider { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

/// The operations of the Catalogue.
#[derive(Clone)]
pub struct CatalogueService {
    repo: Arc<dyn GifRepository>,
    /// In the order in which they are asked.
    providers: Arc<[Arc<dyn GifProvider>]>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    trace: fn() -> Option<TraceContext>,
}

impl CatalogueService {
    /// Creates a service that asks `providers` in this order. `trace` returns the trace context of the current request,
    /// which its events propagate.
    pub fn new(
        repo: Arc<dyn GifRepository>,
        providers: Vec<Arc<dyn GifProvider>>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        trace: fn() -> Option<TraceContext>,
    ) -> Self {
        Self { repo, providers: providers.into(), clock, ids, trace }
    }

    /// Finds GIFs at the first provider that answers, and adds them to the catalogue; those whose bytes may be stored with
    /// [`GifDiscovered`]. If no provider answers, finds GIFs in the catalogue.
    ///
    /// The next page is at the provider of the first one: others have another order.
    pub async fn find(&self, mut request: FindRequest, from: Option<Position>) -> Result<Found, CatalogueError> {
        let providers: Vec<_> = match from {
            None => self.providers.iter().collect(),
            Some(Position::Catalogue(after)) => return self.find_stored(&request, Some(after), DEFAULT_RETRY).await,
            Some(Position::Provider(provider, position)) => {
                request.position = position;
                let same = self.providers.iter().find(|known| known.provider() == provider);
                vec![same.ok_or(CatalogueError::UnknownPage)?]
            }
        };
        let mut retry_after = None;
        for provider in providers {
            match self.find_at(provider.as_ref(), &request).await? {
                Ok(found) => return Ok(found),
                Err(error) => retry_after = earlier(retry_after, error.retry_after()),
            }
        }
        let retry_after = retry_after.unwrap_or(DEFAULT_RETRY);
        if from.is_some() {
            return Err(CatalogueError::NoProvider { retry_after });
        }
        self.find_stored(&request, None, retry_after).await
    }

    /// Finds one GIF at random.
    pub async fn random(&self, request: FindRequest) -> Result<Found, CatalogueError> {
        let mut found = self.find(request, None).await?;
        let count = found.gifs.len() as u128;
        if count == 0 {
            return Err(CatalogueError::NothingMatches);
        }
        // The low bits of an id are random.
        let index = usize::try_from(self.ids.next().as_u128() % count).unwrap_or_default();
        Ok(Found { gifs: vec![found.gifs.swap_remove(index)], next: None, ..found })
    }

    /// The GIF with this id.
    pub async fn get(&self, id: GifId) -> Result<Gif, CatalogueError> {
        self.repo.find(id).await?.ok_or(CatalogueError::UnknownGif(id))
    }

    /// A page of the catalogue, newest first; only GIFs in `state`, if it is given.
    pub async fn list(
        &self,
        state: Option<StateName>,
        after: Option<Cursor>,
        size: PageSize,
    ) -> Result<Page<Gif>, CatalogueError> {
        let after = after.map(|cursor| GifId(cursor.0));
        let query = GifQuery { words: Vec::new(), rating: Rating::R, state, after, limit: size.get() + 1 };
        Ok(Page::from_overfetch(self.repo.list(&query).await?, size, |gif| gif.id.0))
    }

    /// Records that Media has stored the bytes of a GIF.
    pub async fn stored(&self, event: MediaStored, receipt: Receipt) -> Result<Settled, CatalogueError> {
        let MediaStored { id, sha256, size, width, height, frames, duration_ms, stored_at: _ } = event;
        let facts = MediaFacts { sha256, size, width, height, frames, duration_ms };
        self.settle(id, GifState::Stored(facts), receipt).await
    }

    /// Records that Media cannot store the bytes of a GIF.
    pub async fn refused(&self, event: MediaRefused, receipt: Receipt) -> Result<Settled, CatalogueError> {
        self.settle(event.id, GifState::Refused(event.refusal), receipt).await
    }

    async fn settle(&self, id: GifId, state: GifState, receipt: Receipt) -> Result<Settled, CatalogueError> {
        let at = self.clock.now();
        let (sha256, refusal) = match &state {
            GifState::Stored(facts) => (Some(facts.sha256.clone()), None),
            GifState::Refused(refusal) => (None, Some(*refusal)),
            GifState::Known | GifState::Fetching => (None, None),
        };
        let event = self.event(at, &GifSettled { id, sha256, refusal, settled_at: at })?;
        Ok(self.repo.settle(&Settlement { id, state, at, receipt, event }).await?)
    }

    /// Asks one provider. The outer error is ours, the inner one that of the provider.
    async fn find_at(
        &self,
        provider: &dyn GifProvider,
        request: &FindRequest,
    ) -> Result<Result<Found, ProviderError>, CatalogueError> {
        let page = match provider.find(request).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let gifs = self.record(page.gifs, provider.stores_media()).await?;
        let (origin, attribution) = (Origin::Provider(provider.provider()), provider.attribution().to_owned());
        let next = page.next.map(|position| Position::Provider(provider.provider(), position));
        Ok(Ok(Found { gifs, next, origin, attribution, at: self.clock.now() }))
    }

    /// Adds to the catalogue what is new, and what has changed. Nothing is written if there is none.
    async fn record(&self, found: Vec<FoundGif>, stores_media: bool) -> Result<Vec<Gif>, CatalogueError> {
        let mut seen = HashSet::new();
        let found: Vec<_> = found.into_iter().filter(|found| seen.insert(found.key.clone())).collect();
        let keys: Vec<_> = found.iter().map(|found| found.key.clone()).collect();
        let stored = self.repo.find_by_keys(&keys).await?;
        let mut stored: HashMap<GifKey, Gif> = stored.into_iter().map(|gif| (gif.key.clone(), gif)).collect();
        let mut changes = Vec::new();
        for found in found {
            changes.extend(self.discovery(found, &stored, stores_media)?);
        }
        if !changes.is_empty() {
            stored.extend(self.repo.upsert(&changes).await?.into_iter().map(|gif| (gif.key.clone(), gif)));
        }
        Ok(keys.iter().filter_map(|key| stored.remove(key)).collect())
    }

    /// What to store for a GIF that was found; `None` if the catalogue has it like this.
    fn discovery(
        &self,
        found: FoundGif,
        stored: &HashMap<GifKey, Gif>,
        stores_media: bool,
    ) -> Result<Option<Discovery>, CatalogueError> {
        let FoundGif { key, rating, details } = found;
        let now = self.clock.now();
        let mut gif = match stored.get(&key) {
            None => {
                let (id, state) = (GifId(self.ids.next()), GifState::Known);
                Gif { id, key, rating, details, state, created_at: now, updated_at: now }
            }
            Some(gif) if gif.details == details && !(stores_media && gif.state == GifState::Known) => return Ok(None),
            Some(gif) => Gif { details, updated_at: now, ..gif.clone() },
        };
        let mut event = None;
        if stores_media && gif.state == GifState::Known {
            gif.state = GifState::Fetching;
            event = self.discovered(&gif, now)?;
        }
        Ok(Some(Discovery { gif, event }))
    }

    fn discovered(&self, gif: &Gif, now: Timestamp) -> Result<Option<Event>, CatalogueError> {
        let Some(original) = gif.details.original() else { return Ok(None) };
        let discovered = GifDiscovered {
            id: gif.id,
            provider: gif.key.provider.name().to_owned(),
            provider_id: gif.key.id.as_str().to_owned(),
            url: original.url.to_string(),
            width: original.width,
            height: original.height,
            size: original.size,
            discovered_at: now,
        };
        Ok(Some(self.event(now, &discovered)?))
    }

    /// Finds in the catalogue what a provider would find.
    async fn find_stored(
        &self,
        request: &FindRequest,
        after: Option<GifId>,
        retry_after: Duration,
    ) -> Result<Found, CatalogueError> {
        let text = match &request.wanted {
            Wanted::Search(text) | Wanted::Random(Some(text)) => Some(words(text.as_str())),
            Wanted::Trending | Wanted::Random(None) => None,
        };
        // A text without words, such as an emoji, matches nothing; no text matches everything.
        let nothing = text.as_ref().is_some_and(Vec::is_empty);
        let (words, rating) = (text.unwrap_or_default(), request.rating);
        let query = GifQuery { words, rating, state: None, after, limit: request.size + 1 };
        let mut gifs = if nothing { Vec::new() } else { self.repo.list(&query).await? };
        if gifs.is_empty() && after.is_none() {
            return Err(CatalogueError::NoProvider { retry_after });
        }
        let has_more = gifs.len() > request.size as usize;
        gifs.truncate(request.size as usize);
        let next = gifs.last().filter(|_| has_more).map(|last| Position::Catalogue(last.id));
        let (origin, attribution) = (Origin::Catalogue { retry_after }, self.attribution(&gifs));
        Ok(Found { gifs, next, origin, attribution, at: self.clock.now() })
    }

    /// The texts of the providers that these GIFs are from.
    fn attribution(&self, gifs: &[Gif]) -> String {
        let is_among = |provider: Provider| gifs.iter().any(|gif| gif.key.provider == provider);
        let providers = self.providers.iter().filter(|provider| is_among(provider.provider()));
        let texts = providers.map(|provider| provider.attribution()).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join(", ")
    }

    fn event<E: EventType>(&self, at: Timestamp, data: &E) -> Result<Event, CodecError> {
        let mut event = Event::new(self.ids.next(), SOURCE, at, data)?;
        event.trace = (self.trace)();
        Ok(event)
    }
}

/// The shorter of two delays, where they are known.
fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
