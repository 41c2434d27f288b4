//! Finds GIFs: in the cache, or by the Catalogue.

mod refresh;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gifs_domain::catalogue::Rating;
use gifs_domain::requests::{CachePolicy, FindRequest, PageToken, QueryText, Wanted};
use kennel_cache::{Loaded, TypedCache};
use kennel_core::{Clock, ErrorKind};
use kennel_grpc::{CallError, GrpcChannel};
use kennel_http::UrlBuilder;
use kennel_http::problem::DEFAULT_RETRY_AFTER;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::{self as pb, GetGifRequest, RandomRequest, SearchRequest, TrendingRequest};
use serde::{Deserialize, Serialize};
use tonic::Status;
use uuid::Uuid;

pub(crate) use refresh::{Refresher, Refreshes};

use crate::api::{CachedPage, GifPage, GifResponse, SourceResponse};

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

/// What the cache has about a request. An answer without GIFs is a negative entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The answer of a provider.
    Page(CachedPage),
    /// No provider answers.
    Outage {
        /// What the own catalogue has instead.
        substitute: Option<CachedPage>,
        /// After how many seconds a provider may answer again.
        retry_after: u64,
    },
}

/// There is no answer to a request.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The call has failed.
    Call(CallError),
    /// No provider answers, and there is no older answer and nothing in the catalogue.
    Outage {
        /// After how long a provider may answer again.
        retry_after: Duration,
    },
}

/// Finds GIFs.
#[derive(Clone)]
pub(crate) struct Searches {
    pub(crate) catalogue: CatalogueClient<GrpcChannel>,
    /// Answers that are returned without asking again.
    pub(crate) answers: Arc<TypedCache<Answer>>,
    /// The latest answer of a provider to each request, for when none answers.
    pub(crate) latest: Arc<TypedCache<CachedPage>>,
    pub(crate) policy: CachePolicy,
    pub(crate) refreshes: Refreshes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) urls: UrlBuilder,
}

impl Searches {
    /// A page of GIFs. Of concurrent requests for one page, over all replicas, one asks the Catalogue.
    pub(crate) async fn find(&self, request: &FindRequest) -> Result<(CachedPage, CacheStatus), NoAnswer> {
        let (key, asked) = (request.key(), AtomicBool::new(false));
        let load = || {
            asked.store(true, Ordering::Relaxed);
            self.load(&key, request)
        };
        let found = self.answers.get_or_load_for(&key, load).await;
        let status = if asked.into_inner() { CacheStatus::Miss } else { CacheStatus::Hit };
        let no_answer = match found {
            Ok(None) => return Ok((CachedPage::default(), status)),
            Ok(Some(Answer::Page(page))) => {
                if self.age(&page).is_some_and(|age| self.policy.is_due(age)) {
                    self.refreshes.request(key, request);
                }
                return Ok((page, status));
            }
            Ok(Some(Answer::Outage { substitute, retry_after })) => {
                substitute.ok_or(NoAnswer::Outage { retry_after: Duration::from_secs(retry_after) })
            }
            Err(error) => Err(NoAnswer::Call(error)),
        };
        match self.latest.get_or_load(&key, || async { Err(no_answer) }).await {
            Ok(older) => Ok((older.unwrap_or_default(), CacheStatus::Stale)),
            Err(substitute) => substitute.map(|page| (page, status)),
        }
    }

    /// How old an answer is, if something has answered.
    pub(crate) fn age(&self, page: &GifPage) -> Option<Duration> {
        page.source.as_ref().map(|source| self.clock.now().since(source.fetched_at))
    }

    /// Asks the Catalogue. That no provider answers is a result, so that all who wait for it have it at once, and so that
    /// the next ones do not ask again while it is new.
    async fn load(&self, key: &str, request: &FindRequest) -> Result<Loaded<Answer>, CallError> {
        let outage = |substitute, retry_after: Duration| {
            let answer = Answer::Outage { substitute, retry_after: retry_after.as_secs().max(1) };
            Loaded { value: Some(answer), ttl: Some(self.policy.outage) }
        };
        match self.ask(request).await.map_err(CallError::from) {
            Ok(page) if page.source.as_ref().is_none_or(|source| source.provider.is_none()) => {
                Ok(outage(Some(page.into()), DEFAULT_RETRY_AFTER))
            }
            Ok(page) if page.items.is_empty() => Ok(Loaded::from(None)),
            Ok(page) => {
                let page = CachedPage::from(page);
                // An entry that cannot be set is counted by the cache.
                self.latest.set(key, &page).await.ok();
                Ok(Some(Answer::Page(page)).into())
            }
            Err(error) => match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::RateLimited | ErrorKind::Timeout => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no answer of the catalogue");
                    Ok(outage(None, error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER)))
                }
                _ => Err(error),
            },
        }
    }

    /// Asks the Catalogue again, before an answer is too old, and replaces the answer for all replicas.
    async fn refresh(&self, key: &str, request: &FindRequest) {
        if let Ok(Loaded { value: Some(answer @ Answer::Page(_)), .. }) = self.load(key, request).await {
            self.answers.set(key, &answer).await.ok();
        }
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
    pub(crate) async fn random(&self, tag: Option<&QueryText>, rating: Rating) -> Result<GifResponse, CallError> {
        let tag = tag.map(ToString::to_string).unwrap_or_default();
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
