//! Concurrent reads of the same public data share one request to the upstream.
//!
//! Only while a request runs: nothing is cached. The response is shared if it is small and complete, and says nothing about a
//! client; otherwise each waiting request is sent after all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, COOKIE, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::BodyExt as _;
use kennel_core::ErrorKind;
use kennel_http::HttpError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Larger responses are not shared.
const MAX_SHARED_BYTES: u64 = 256 * 1024;
/// Requests with one of these get a response of their own.
const OWN: [HeaderName; 10] = [
    HeaderName::from_static("x-api-key"),
    AUTHORIZATION,
    COOKIE,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    CACHE_CONTROL,
];
/// What a response may depend on.
const NEGOTIATED: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// The requests that run. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Coalescer(Arc<Mutex<HashMap<String, Running>>>);

type Running = watch::Receiver<Option<Outcome>>;

#[derive(Clone)]
enum Outcome {
    Shared(Arc<SharedResponse>),
    NotShared,
}

struct SharedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What a request does.
pub(crate) enum Flight {
    /// It is the first one; it must be sent, and its response passed to [`Leader::share`].
    Leader(Leader),
    /// Another one runs.
    Waiter(Waiter),
}

/// The request that is sent. If it is dropped before its response, one of those that wait takes its turn.
pub(crate) struct Leader {
    coalescer: Coalescer,
    key: String,
    outcome: watch::Sender<Option<Outcome>>,
}

pub(crate) struct Waiter(Running);

/// What requests have in common that can share a response; `None` for one that cannot.
pub(crate) fn key(method: &Method, target: &str, headers: &HeaderMap) -> Option<String> {
    if *method != Method::GET || OWN.iter().any(|name| headers.contains_key(name)) {
        return None;
    }
    let mut key = target.to_owned();
    // The upstream gets the host, and may use it in links.
    for name in NEGOTIATED.iter().chain([&HOST]) {
        for value in headers.get_all(name) {
            write!(key, "\n{name}:{}", value.to_str().ok()?).ok()?;
        }
    }
    Some(key)
}

impl Coalescer {
    pub(crate) fn join(&self, key: &str) -> Flight {
        let mut running = self.lock();
        match running.entry(key.to_owned()) {
            Entry::Occupied(entry) => Flight::Waiter(Waiter(entry.get().clone())),
            Entry::Vacant(entry) => {
                let (outcome, receiver) = watch::channel(None);
                entry.insert(receiver);
                Flight::Leader(Leader { coalescer: self.clone(), key: key.to_owned(), outcome })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// Shares the response with those that wait, if it can be, and returns it. Fails if it is not complete by the deadline.
    pub(crate) async fn share(self, response: Response, deadline: Instant) -> Result<Response, HttpError> {
        if !is_shareable(&response) {
            self.finish(Outcome::NotShared);
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let collected = timeout_at(deadline, body.collect()).await.map_err(|_| HttpError::new(ErrorKind::Timeout))?;
        let body = collected.map_err(|error| HttpError::from_error(ErrorKind::BadUpstream, error))?.to_bytes();
        let shared = SharedResponse { status: parts.status, headers: parts.headers.clone(), body: body.clone() };
        self.finish(Outcome::Shared(Arc::new(shared)));
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    fn finish(self, outcome: Outcome) {
        // Whoever comes from now on starts anew: nothing is older than the request that it answers.
        self.coalescer.lock().remove(&self.key);
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut running = self.coalescer.lock();
        if running.get(&self.key).is_some_and(|known| known.same_channel(&self.outcome.subscribe())) {
            running.remove(&self.key);
        }
    }
}

impl Waiter {
    /// The response of the other request. `Err(true)` if it was given up, so that this one joins again, and `Err(false)` if it
    /// is not for others.
    pub(crate) async fn response(mut self) -> Result<Response, bool> {
        let outcome = self.0.wait_for(Option::is_some).await.map_err(|_| true)?.clone();
        match outcome {
            Some(Outcome::Shared(shared)) => {
                let mut response = Response::new(Body::from(shared.body.clone()));
                (*response.status_mut(), *response.headers_mut()) = (shared.status, shared.headers.clone());
                Ok(response)
            }
            Some(Outcome::NotShared) => Err(false),
            None => Err(true),
        }
    }
}

fn is_shareable(response: &Response) -> bool {
    let headers = response.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let listed = |name: HeaderName| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("*"));
        values.flat_map(|value| value.split(',')).map(str::trim)
    };
    let is_for_one = |directive: &str| {
        let starts = |word: &str| directive.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        starts("private") || starts("no-store")
    };
    let is_negotiated = |name: &str| NEGOTIATED.iter().any(|known| name.eq_ignore_ascii_case(known.as_str()));
    matches!(response.status(), StatusCode::OK | StatusCode::NOT_FOUND)
        && length.is_some_and(|length| length <= MAX_SHARED_BYTES)
        && !headers.contains_key(SET_COOKIE)
        && !listed(CACHE_CONTROL).any(is_for_one)
        && listed(VARY).all(is_negotiated)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn response(headers: &[(HeaderName, &'static str)]) -> Response {
        let mut response = Response::new(Body::from("hello"));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn deadline() -> Instant {
        Instant::now() + std::time::Duration::from_secs(30)
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_stalls_is_given_up_at_the_deadline() {
        let coalescer = Coalescer::default();
        let leader = join(&coalescer).0.unwrap();
        let waiter = join(&coalescer).1.unwrap();
        let mut stalled = response(&[]);
        *stalled.body_mut() = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let error = leader.share(stalled, deadline()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(waiter.response().await.unwrap_err(), "it joins again");
        assert!(join(&coalescer).0.is_some());
    }

    fn join(coalescer: &Coalescer) -> (Option<Leader>, Option<Waiter>) {
        match coalescer.join("/a") {
            Flight::Leader(leader) => (Some(leader), None),
            Flight::Waiter(waiter) => (None, Some(waiter)),
        }
    }

    #[tokio::test]
    async fn those_that_wait_get_the_response_of_the_first() {
        let coalescer = Coalescer::default();
        let leader = join(&coalescer).0.unwrap();
        let waiters = [join(&coalescer).1.unwrap(), join(&coalescer).1.unwrap()];
        leader.share(response(&[(VARY, "accept, Accept-Encoding")]), deadline()).await.unwrap();
        for waiter in waiters {
            let body = waiter.response().await.unwrap().into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello");
        }
        assert!(join(&coalescer).0.is_some(), "nothing is cached");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_or_private_is_not_shared() {
        let coalescer = Coalescer::default();
        let leader = join(&coalescer).0.unwrap();
        let waiter = join(&coalescer).1.unwrap();
        drop(leader);
        assert!(waiter.response().await.unwrap_err(), "it joins again");
        for private in [
            (SET_COOKIE, "a=1"),
            (CACHE_CONTROL, "max-age=1, Private"),
            (VARY, "accept, Cookie"),
            (VARY, "*"),
            (VARY, "user-agent"),
        ] {
            let leader = join(&coalescer).0.unwrap();
            let waiter = join(&coalescer).1.unwrap();
            leader.share(response(&[private]), deadline()).await.unwrap();
            assert!(!waiter.response().await.unwrap_err(), "it is sent by itself");
        }
    }

    #[test]
    fn requests_with_credentials_or_conditions_have_no_key() {
        let key = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            super::key(&Method::GET, "/a?b", &headers.collect::<HeaderMap>())
        };
        assert_eq!(key(&[]).as_deref(), Some("/a?b"));
        for name in [ACCEPT, HOST] {
            assert_ne!(key(&[(name, "text/html")]), key(&[]));
        }
        for name in OWN {
            assert_eq!(key(&[(name, "x")]), None);
        }
        assert_eq!(super::key(&Method::HEAD, "/a", &HeaderMap::new()), None);
    }
}
