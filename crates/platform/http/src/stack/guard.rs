//! Bounds on the work in hand: how much of it, and how long each piece may take.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kennel_core::ErrorKind;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::arrival::Arrival;
use crate::config::HttpConfig;
use crate::problem::HttpError;

/// How long a handler may take to answer that the caller fell silent.
const SLACK: Duration = Duration::from_secs(1);
/// When a refused client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bounds of one server.
pub(super) struct Guard {
    permits: Semaphore,
    limit: Duration,
    body_idle: Duration,
    exempt: HashSet<&'static str>,
}

impl Guard {
    pub(super) fn new(config: &HttpConfig, exempt: HashSet<&'static str>) -> Self {
        Self {
            permits: Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS)),
            limit: config.request_timeout(),
            body_idle: config.body_idle_timeout(),
            exempt,
        }
    }

    fn deadline(&self, arrival: &Arrival) -> Instant {
        let (last, is_awaited) = arrival.last();
        // While the handler waits for the caller, silence ends the body first.
        last + if is_awaited { self.limit.max(self.body_idle + SLACK) } else { self.limit }
    }

    fn is_exempt(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        route.is_some_and(|route| self.exempt.contains(route.as_str()))
    }
}

/// Refuses what is too much with 503, and ends what takes too long with 504. Both hold until the response begins.
///
/// A handler's time runs from the last byte of the body: how long a caller takes to send it is bounded by the body's size
/// and by silence, see [`crate::body`].
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if guard.is_exempt(&request) {
        return next.run(request).await;
    }
    let Ok(_permit) = guard.permits.try_acquire() else {
        return HttpError::new(ErrorKind::Overloaded).with_retry_after(RETRY_AFTER).into_response();
    };
    let timed_out = || HttpError::new(ErrorKind::Timeout).into_response();
    let Some(arrival) = request.extensions().get::<Arrival>().cloned() else {
        return timeout(guard.limit, next.run(request)).await.unwrap_or_else(|_| timed_out());
    };
    let mut work = pin!(next.run(request));
    loop {
        match timeout_at(guard.deadline(&arrival), &mut work).await {
            Ok(response) => return response,
            Err(_) if Instant::now() < guard.deadline(&arrival) => {}
            Err(_) => return timed_out(),
        }
    }
}
