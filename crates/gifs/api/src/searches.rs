//! Finds GIFs: in the cache, or by the Catalogue.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gifs_domain::catalogue::Rating;
use gifs_domain::requests::{FindRequest, PageToken, QueryText, Wanted};
use kennel_cache::TypedCache;
use kennel_core::Clock;
use kennel_grpc::{CallError, GrpcChannel};
use kennel_http::UrlBuilder;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::{self as pb, GetGifRequest, RandomRequest, SearchRequest, TrendingRequest};
use tonic::Status;
use uuid::Uuid;

use crate::api::{GifPage, GifResponse, SourceResponse};

/// Whether an answer is from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheStatus {
    /// It is.
    Hit,
    /// It is not.
    Miss,
    /// It is, and no provider answers now.
    Stale,
}

impl CacheStatus {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// Why there is no new answer of a provider.
enum NoAnswer {
    /// The call has failed.
    Call(CallError),
    /// No provider answers. This is from the own catalogue, and the second choice if there is an older answer.
    Substitute(GifPage),
}

/// Finds GIFs.
#[derive(Clone)]
pub(crate) struct Searches {
    pub(crate) catalogue: CatalogueClient<GrpcChannel>,
    /// Answers that are returned without asking again. An answer without GIFs is a negative entry.
    pub(crate) fresh: Arc<TypedCache<GifPage>>,
    /// The latest answer of a provider to each request, for when none answers.
    pub(crate) latest: Arc<TypedCache<GifPage>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) urls: UrlBuilder,
}

impl Searches {
    /// A page of GIFs. Of concurrent requests for one page, one asks the Catalogue.
    pub(crate) async fn find(&self, request: &FindRequest) -> Result<(GifPage, CacheStatus), CallError> {
        let (key, asked) = (request.key(), AtomicBool::new(false));
        let load = || {
            asked.store(true, Ordering::Relaxed);
            self.load(&key, request)
        };
        let no_answer = match self.fresh.get_or_load(&key, load).await {
            Ok(found) => {
                let status = if asked.load(Ordering::Relaxed) { CacheStatus::Miss } else { CacheStatus::Hit };
                return Ok((found.unwrap_or_default(), status));
            }
            Err(no_answer) => no_answer,
        };
        match self.latest.get_or_load(&key, || async { Err(no_answer) }).await {
            Ok(older) => Ok((older.unwrap_or_default(), CacheStatus::Stale)),
            Err(NoAnswer::Substitute(page)) => Ok((page, CacheStatus::Miss)),
            Err(NoAnswer::Call(error)) => Err(error),
        }
    }

    async fn load(&self, key: &str, request: &FindRequest) -> Result<Option<GifPage>, NoAnswer> {
        let page = self.ask(request).await.map_err(|status| NoAnswer::Call(status.into()))?;
        if page.source.as_ref().is_none_or(|source| source.provider.is_none()) {
            return Err(NoAnswer::Substitute(page));
        }
        if page.items.is_empty() {
            return Ok(None);
        }
        // An entry that cannot be removed is counted by the cache, and expires.
        self.latest.invalidate(key).await.ok();
        let replace = || async { Ok::<_, Infallible>(Some(page.clone())) };
        let Ok(_replaced) = self.latest.get_or_load(key, replace).await;
        Ok(Some(page))
    }

    /// Asks the Catalogue.
    async fn ask(&self, request: &FindRequest) -> Result<GifPage, Status> {
        let mut catalogue = self.catalogue.clone();
        let rating = wire(request.rating).into();
        let page_token = request.page.as_ref().map(PageToken::as_str).unwrap_or_default().to_owned();
        let (gifs, next, source) = match &request.wanted {
            Wanted::Search(text, language) => {
                let language = language.map(|language| language.to_string()).unwrap_or_default();
                let query = text.to_string();
                let search = SearchRequest { query, rating, language, page_size: 0, page_token };
                let found = catalogue.search(search).await?.into_inner();
                (found.gifs, found.next_page_token, found.source)
            }
            Wanted::Trending => {
                let trending = TrendingRequest { rating, page_size: 0, page_token };
                let found = catalogue.trending(trending).await?.into_inner();
                (found.gifs, found.next_page_token, found.source)
            }
        };
        Ok(GifPage {
            items: gifs.into_iter().map(|gif| GifResponse::new(gif, &self.urls)).collect(),
            next: Some(next).filter(|next| !next.is_empty()),
            source: source.map(|source| SourceResponse::new(source, self.clock.now())),
        })
    }

    /// A random GIF.
    pub(crate) async fn random(&self, tag: Option<QueryText>, rating: Rating) -> Result<GifResponse, CallError> {
        let tag = tag.map(|tag| tag.to_string()).unwrap_or_default();
        let request = RandomRequest { tag, rating: wire(rating).into() };
        let found = self.catalogue.clone().random(request).await?.into_inner();
        Ok(GifResponse::new(found.gif.unwrap_or_default(), &self.urls))
    }

    /// The GIF with this id.
    pub(crate) async fn get(&self, id: Uuid) -> Result<GifResponse, CallError> {
        let found = self.catalogue.clone().get_gif(GetGifRequest { id: id.to_string() }).await?.into_inner();
        Ok(GifResponse::new(found.gif.unwrap_or_default(), &self.urls))
    }
}

const fn wire(rating: Rating) -> pb::Rating {
    match rating {
        Rating::G => pb::Rating::G,
        Rating::Pg => pb::Rating::Pg,
        Rating::Pg13 => pb::Rating::Pg13,
        Rating::R => pb::Rating::R,
    }
}
