//! Load shedding and timeouts: limits how many requests are in flight and how long each may take.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kennel_core::ErrorKind;
use kennel_net::RequestContext;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::body_timing::BodyTiming;
use crate::config::HttpConfig;
use crate::problem::HttpError;

/// Time for a handler to respond after the body's idle timeout.
const IDLE_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);
/// `Retry-After` of a request that was shed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of one server.
pub(super) struct LoadShed {
    permits: Semaphore,
    timeout: Duration,
    body_idle: Duration,
    exempt: HashSet<&'static str>,
}

impl LoadShed {
    pub(super) fn new(config: &HttpConfig, exempt: HashSet<&'static str>) -> Self {
        Self {
            permits: Semaphore::new((config.server.max_in_flight as usize).min(Semaphore::MAX_PERMITS)),
            timeout: config.server.request_timeout.get(),
            body_idle: config.body_idle_timeout.get(),
            exempt,
        }
    }

    fn deadline(&self, timing: &BodyTiming) -> Instant {
        let (last, is_awaited) = timing.last();
        // While the handler waits for the body, the body's idle timeout must fire first: it returns 408, not 504.
        last + if is_awaited { self.timeout.max(self.body_idle + IDLE_TIMEOUT_MARGIN) } else { self.timeout }
    }

    fn is_exempt(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        route.is_some_and(|route| self.exempt.contains(route.as_str()))
    }
}

/// Answers 503 if too many requests are in flight, and 504 if a request takes too long. Both limits apply until the
/// response starts.
///
/// The timeout runs from the last byte of the body. How long a client may take to send the body is limited by the
/// body's size and by the idle timeout; see [`crate::body`].
pub(super) async fn load_shed(State(limits): State<Arc<LoadShed>>, request: Request, next: Next) -> Response {
    if limits.is_exempt(&request) {
        return next.run(request).await;
    }
    let Ok(_permit) = limits.permits.try_acquire() else {
        return HttpError::new(ErrorKind::Overloaded).with_retry_after(RETRY_AFTER).into_response();
    };
    let timed_out = || HttpError::new(ErrorKind::Timeout).into_response();
    let Some(timing) = request.extensions().get::<BodyTiming>().cloned() else {
        let deadline = Instant::now() + limits.timeout;
        set_deadline(move || deadline);
        return timeout(limits.timeout, next.run(request)).await.unwrap_or_else(|_| timed_out());
    };
    let (deadline, uploaded) = (Arc::clone(&limits), timing.clone());
    set_deadline(move || deadline.deadline(&uploaded));
    let mut work = pin!(next.run(request));
    loop {
        match timeout_at(limits.deadline(&timing), &mut work).await {
            Ok(response) => return response,
            Err(_) if Instant::now() < limits.deadline(&timing) => {}
            Err(_) => return timed_out(),
        }
    }
}

/// Makes the deadline known to the calls that the handler makes.
fn set_deadline(deadline: impl Fn() -> Instant + Send + Sync + 'static) {
    if let Some(context) = RequestContext::current() {
        context.set_deadline(deadline);
    }
}
