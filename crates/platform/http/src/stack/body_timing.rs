//! Timing of a request's body: the time the client takes to send it does not count as the service's latency, and only
//! idle periods are limited.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use futures_util::FutureExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::body::BodyIdleTimeout;

/// When a body arrived and how long the handler waited for it. Clones share the state.
#[derive(Debug, Clone)]
pub(super) struct BodyTiming(Arc<Mutex<TimingState>>);

#[derive(Debug)]
struct TimingState {
    /// When the last chunk arrived; initially, when the request head did.
    last: Instant,
    /// Since when the handler waits for the next chunk.
    awaited_since: Option<Instant>,
    waited: Duration,
}

impl BodyTiming {
    /// Wraps the body of `request`; `None` if it has no body. The body fails with [`BodyIdleTimeout`] once no chunk has
    /// arrived for `idle`.
    pub(super) fn attach(request: &mut Request, idle: Option<Duration>) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let state = TimingState { last: Instant::now(), awaited_since: None, waited: Duration::ZERO };
        let timing = Self(Arc::new(Mutex::new(state)));
        let inner = std::mem::take(request.body_mut());
        let timed = TimedBody { inner, idle, idle_timer: None, timing: timing.clone() };
        *request.body_mut() = Body::new(timed);
        request.extensions_mut().insert(timing.clone());
        Some(timing)
    }

    /// How long the handler has waited for the body in total.
    pub(super) fn waited(&self) -> Duration {
        self.state().waited
    }

    /// When the last chunk arrived, and whether the handler waits for another.
    pub(super) fn last(&self) -> (Instant, bool) {
        let state = self.state();
        (state.last, state.awaited_since.is_some())
    }

    fn wait(&self) {
        self.state().awaited_since.get_or_insert_with(Instant::now);
    }

    fn advance(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.last = now;
        if let Some(since) = state.awaited_since.take() {
            state.waited += now.saturating_duration_since(since);
        }
    }

    fn state(&self) -> MutexGuard<'_, TimingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that records its timing and enforces the idle timeout.
struct TimedBody {
    inner: Body,
    idle: Option<Duration>,
    /// Runs while the handler waits for the next chunk.
    idle_timer: Option<Pin<Box<Sleep>>>,
    timing: BodyTiming,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.idle_timer = None;
            this.timing.advance();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.timing.wait();
        let Some(idle) = this.idle else { return Poll::Pending };
        ready!(this.idle_timer.get_or_insert_with(|| Box::pin(sleep(idle))).poll_unpin(cx));
        Poll::Ready(Some(Err(BodyIdleTimeout(idle).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Ends the waiting time also when the rest of the body never arrived.
impl Drop for TimedBody {
    fn drop(&mut self) {
        self.timing.advance();
    }
}
