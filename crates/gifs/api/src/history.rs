//! The latest requests, and how they were answered.
//!
//! They are in the memory of the process: a list in the shared cache would cost every search a write, also those that
//! are answered from memory. Nothing about the client is recorded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gifs_domain::catalogue::{Language, Rating};
use gifs_domain::requests::{FindRequest, QueryText, Wanted};
use kennel_core::{Clock, Cursor, ErrorKind, IdSource, Page, PageSize, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::GifPage;
use crate::searches::CacheStatus;

/// Number of requests that are remembered.
const CAPACITY: usize = 1_000;

/// A request for GIFs, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AnsweredRequest {
    /// Its id; later requests have greater ones.
    pub(crate) id: Uuid,
    /// When it was answered.
    #[schema(value_type = String, format = "date-time")]
    answered_at: Timestamp,
    /// How long that took, in milliseconds.
    duration_ms: u64,
    /// What was asked for.
    kind: RequestKind,
    /// The text that was searched for, as it was understood.
    #[schema(required = true)]
    query: Option<String>,
    /// The highest rating.
    rating: String,
    /// The language of the text.
    #[schema(required = true)]
    lang: Option<String>,
    /// The start of the page; null for the first one.
    #[schema(required = true)]
    cursor: Option<String>,
    /// How it was answered.
    outcome: Outcome,
    /// The provider whose answer it is; null if it is from the own catalogue, or if there is no answer.
    #[schema(required = true)]
    provider: Option<String>,
    /// Number of GIFs.
    gifs: usize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestKind {
    /// What matches a text.
    Search,
    /// What is popular.
    Trending,
    /// A GIF at random.
    Random,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// From the cache.
    Hit,
    /// By the catalogue, which asks the providers.
    Miss,
    /// From the cache with an older answer, because no provider answered.
    Stale,
    /// There is no such page or GIF.
    Refused,
    /// No provider answered, and there was nothing else to answer with.
    Unavailable,
    /// With an error.
    Failed,
}

impl From<CacheStatus> for Outcome {
    fn from(status: CacheStatus) -> Self {
        match status {
            CacheStatus::Hit => Self::Hit,
            CacheStatus::Miss => Self::Miss,
            CacheStatus::Stale => Self::Stale,
        }
    }
}

impl From<ErrorKind> for Outcome {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid | ErrorKind::NotFound => Self::Refused,
            ErrorKind::Unavailable => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

/// What was asked.
pub(crate) struct Asked {
    kind: RequestKind,
    query: Option<String>,
    lang: Option<Language>,
    rating: Rating,
    cursor: Option<String>,
    at: Timestamp,
}

/// The latest requests. Clones share them.
#[derive(Clone)]
pub(crate) struct History {
    requests: Arc<Mutex<VecDeque<AnsweredRequest>>>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl History {
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { requests: Arc::default(), clock, ids }
    }

    /// A request for a page, which is about to be answered.
    pub(crate) fn page(&self, request: &FindRequest) -> Asked {
        let (kind, query, lang) = match &request.wanted {
            Wanted::Search(text, lang) => (RequestKind::Search, Some(text.to_string()), *lang),
            Wanted::Trending => (RequestKind::Trending, None, None),
        };
        let cursor = request.page.as_ref().map(|token| token.as_str().to_owned());
        Asked { kind, query, lang, rating: request.rating, cursor, at: self.clock.now() }
    }

    /// A request for a random GIF, which is about to be answered.
    pub(crate) fn random(&self, tag: Option<&QueryText>, rating: Rating) -> Asked {
        let query = tag.map(ToString::to_string);
        Asked { kind: RequestKind::Random, query, lang: None, rating, cursor: None, at: self.clock.now() }
    }

    /// Records a request that was answered with GIFs.
    pub(crate) fn answered(&self, asked: Asked, status: CacheStatus, page: &GifPage) {
        let provider = page.source.as_ref().and_then(|source| source.provider.clone());
        self.record(asked, status.into(), provider, page.items.len());
    }

    /// Records any request.
    pub(crate) fn record(&self, asked: Asked, outcome: Outcome, provider: Option<String>, gifs: usize) {
        let Asked { kind, query, lang, rating, cursor, at } = asked;
        let answered_at = self.clock.now();
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == CAPACITY {
            requests.pop_front();
        }
        requests.push_back(AnsweredRequest {
            // Inside the lock, so that they are in the order of their ids.
            id: self.ids.next(),
            answered_at,
            duration_ms: millis(answered_at.since(at)),
            kind,
            query,
            rating: rating.to_string(),
            lang: lang.map(|lang| lang.to_string()),
            cursor,
            outcome,
            provider,
            gifs,
        });
    }

    /// A page of the requests, newest first.
    pub(crate) fn list(&self, after: Option<Cursor>, size: PageSize) -> Page<AnsweredRequest> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let older =
            after.map_or(requests.len(), |Cursor(after)| requests.partition_point(|request| request.id < after));
        let page = requests.range(..older).rev().take(size.get() as usize + 1).cloned().collect();
        drop(requests);
        Page::from_overfetch(page, size, |request| request.id)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use kennel_core::{SystemClock, UuidV7};

    use super::*;

    fn history(count: usize) -> History {
        let history = History::new(Arc::new(SystemClock), Arc::new(UuidV7));
        for number in 0..count {
            let text: QueryText = format!("cat {number}").parse().unwrap();
            let request = FindRequest { wanted: Wanted::Search(text, None), rating: Rating::G, page: None };
            history.answered(history.page(&request), CacheStatus::Miss, &GifPage::default());
        }
        history
    }

    fn queries(page: &Page<AnsweredRequest>) -> Vec<&str> {
        page.items.iter().map(|request| request.query.as_deref().unwrap()).collect()
    }

    #[test]
    fn pages_are_newest_first_and_continue() {
        let history = history(5);
        let size = PageSize::new(2).unwrap();
        let first = history.list(None, size);
        assert_eq!(queries(&first), ["cat 4", "cat 3"]);
        // Newer requests do not shift the pages.
        let asked = history.random(None, Rating::R);
        history.record(asked, Outcome::Failed, None, 0);
        let second = history.list(first.next, size);
        assert_eq!(queries(&second), ["cat 2", "cat 1"]);
        let last = history.list(second.next, size);
        assert_eq!((queries(&last), last.next), (vec!["cat 0"], None));
    }

    #[test]
    fn the_oldest_ones_are_forgotten() {
        let history = history(CAPACITY + 3);
        let all = history.list(None, PageSize::new(PageSize::MAX).unwrap());
        let queries = queries(&all);
        assert_eq!((queries.len(), queries[0], queries[CAPACITY - 1]), (CAPACITY, "cat 1002", "cat 3"));
        assert_eq!(all.next, None);
    }
}
