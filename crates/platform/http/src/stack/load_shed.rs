//! Load shedding and timeouts: limits how many requests are in flight and how long each may take.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{BoxFuture, Either};
use kennel_core::ErrorKind;
use kennel_net::RequestContext;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::body_timing::BodyTiming;
use crate::config::{HttpConfig, RequestTimeout};
use crate::problem::HttpError;

/// Time for a handler to respond after the body's idle timeout.
const IDLE_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);
/// `Retry-After` of a request that was shed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of one server.
pub(super) struct Limits {
    permits: Semaphore,
    timeout: RequestTimeout,
    body_idle: Duration,
    exempt: HashSet<&'static str>,
}

impl Limits {
    pub(super) fn new(config: &HttpConfig, exempt: HashSet<&'static str>) -> Self {
        Self {
            permits: Semaphore::new((config.server.max_in_flight as usize).min(Semaphore::MAX_PERMITS)),
            timeout: config
                .timeout
                .clone()
                .unwrap_or_else(|| RequestTimeout::fixed(config.server.request_timeout.get())),
            body_idle: config.body_idle_timeout.get(),
            exempt,
        }
    }

    fn deadline(&self, timing: &BodyTiming) -> Instant {
        let ((last, is_awaited), timeout) = (timing.last(), self.timeout.get());
        // While the handler waits for the body, the body's idle timeout must fire first: it returns 408, not 504.
        last + if is_awaited { timeout.max(self.body_idle + IDLE_TIMEOUT_MARGIN) } else { timeout }
    }

    fn is_exempt(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        route.is_some_and(|route| self.exempt.contains(route.as_str()))
    }

    async fn apply(
        self: &Arc<Self>,
        work: impl Future<Output = Result<Response, Infallible>>,
        timing: Option<BodyTiming>,
    ) -> Result<Response, Infallible> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Ok(HttpError::new(ErrorKind::Overloaded).with_retry_after(RETRY_AFTER).into_response());
        };
        let timed_out = || Ok(HttpError::new(ErrorKind::Timeout).into_response());
        let Some(timing) = timing else {
            let deadline = Instant::now() + self.timeout.get();
            set_deadline(move || deadline);
            return timeout_at(deadline, work).await.unwrap_or_else(|_| timed_out());
        };
        let (limits, uploaded) = (Arc::clone(self), timing.clone());
        set_deadline(move || limits.deadline(&uploaded));
        let mut work = pin!(work);
        loop {
            match timeout_at(self.deadline(&timing), &mut work).await {
                Ok(response) => return response,
                Err(_) if Instant::now() < self.deadline(&timing) => {}
                Err(_) => return timed_out(),
            }
        }
    }
}

/// Adds [`LoadShed`] to a service.
#[derive(Clone)]
pub(super) struct LoadShedLayer(pub(super) Arc<Limits>);

/// Answers 503 if too many requests are in flight, and 504 if a request takes too long. Both limits apply until the
/// response starts.
///
/// The timeout runs from the last byte of the body. How long a client may take to send the body is limited by the
/// body's size and by the idle timeout; see [`crate::body`].
#[derive(Clone)]
pub(super) struct LoadShed<S> {
    inner: S,
    limits: Arc<Limits>,
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, limits: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for LoadShed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.limits.is_exempt(&request) {
            return Either::Left(self.inner.call(request));
        }
        let timing = request.extensions().get::<BodyTiming>().cloned();
        let limits = Arc::clone(&self.limits);
        let work = self.inner.call(request);
        Either::Right(Box::pin(async move { limits.apply(work, timing).await }))
    }
}

/// Makes the deadline known to the calls that the handler makes.
fn set_deadline(deadline: impl Fn() -> Instant + Send + Sync + 'static) {
    if let Some(context) = RequestContext::current() {
        context.set_deadline(deadline);
    }
}
