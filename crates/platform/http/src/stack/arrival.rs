//! How the body of a request arrives: the time that its caller takes is no latency of ours, and is bounded by silence alone.

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

use crate::body::SilentClient;

/// What is known of a body so far. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Arrival(Arc<Mutex<Progress>>);

#[derive(Debug)]
struct Progress {
    /// When the last of it arrived; at first, when the request did.
    last: Instant,
    /// Since when more of it is waited for.
    awaited_since: Option<Instant>,
    waited: Duration,
}

impl Arrival {
    /// Follows the body of `request`, and ends it with [`SilentClient`] once it was waited for longer than `idle`.
    pub(super) fn follow(request: &mut Request, idle: Option<Duration>) -> Self {
        let progress = Progress { last: Instant::now(), awaited_since: None, waited: Duration::ZERO };
        let arrival = Self(Arc::new(Mutex::new(progress)));
        if !request.body().is_end_stream() {
            let inner = std::mem::take(request.body_mut());
            let followed = Followed { inner, idle, silence: None, arrival: arrival.clone() };
            *request.body_mut() = Body::new(followed);
            request.extensions_mut().insert(arrival.clone());
        }
        arrival
    }

    /// How long the body was waited for in all.
    pub(super) fn waited(&self) -> Duration {
        self.progress().waited
    }

    /// When the last of it arrived, and whether more is waited for.
    pub(super) fn last(&self) -> (Instant, bool) {
        let progress = self.progress();
        (progress.last, progress.awaited_since.is_some())
    }

    fn wait(&self) {
        self.progress().awaited_since.get_or_insert_with(Instant::now);
    }

    fn advance(&self) {
        let now = Instant::now();
        let mut progress = self.progress();
        progress.last = now;
        if let Some(since) = progress.awaited_since.take() {
            progress.waited += now.saturating_duration_since(since);
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body whose arrival others can see.
struct Followed {
    inner: Body,
    idle: Option<Duration>,
    /// Runs while the body is waited for.
    silence: Option<Pin<Box<Sleep>>>,
    arrival: Arrival,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.silence = None;
            this.arrival.advance();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.arrival.wait();
        let Some(idle) = this.idle else { return Poll::Pending };
        ready!(this.silence.get_or_insert_with(|| Box::pin(sleep(idle))).poll_unpin(cx));
        Poll::Ready(Some(Err(SilentClient(idle).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Also when the rest never came.
impl Drop for Followed {
    fn drop(&mut self) {
        self.arrival.advance();
    }
}
