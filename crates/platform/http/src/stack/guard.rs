//! Bounds on the work in hand: how much of it, and how long each piece may take.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kennel_core::ErrorKind;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::HttpConfig;
use crate::problem::HttpError;

/// When a refused client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bounds of one server.
pub(super) struct Guard {
    permits: Semaphore,
    limit: Duration,
    exempt: HashSet<&'static str>,
}

impl Guard {
    pub(super) fn new(config: &HttpConfig, exempt: HashSet<&'static str>) -> Self {
        Self {
            permits: Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS)),
            limit: config.request_timeout(),
            exempt,
        }
    }

    fn is_exempt(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        route.is_some_and(|route| self.exempt.contains(route.as_str()))
    }
}

/// Refuses what is too much with 503, and ends what takes too long with 504. Both hold until the response begins.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if guard.is_exempt(&request) {
        return next.run(request).await;
    }
    let Ok(_permit) = guard.permits.try_acquire() else {
        return HttpError::new(ErrorKind::Overloaded).with_retry_after(RETRY_AFTER).into_response();
    };
    match timeout(guard.limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => HttpError::new(ErrorKind::Timeout).into_response(),
    }
}
