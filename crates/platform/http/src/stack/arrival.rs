//! How long the service waits for the body of a request: time that its caller takes, and that is no latency of ours.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// The time that was waited so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Waited(Arc<AtomicU64>);

impl Waited {
    pub(super) fn so_far(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Measures from now on how long the body of `request` is waited for.
pub(super) fn watch(request: &mut Request) -> Waited {
    let waited = Waited::default();
    if !request.body().is_end_stream() {
        let inner = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Awaited { inner, waited: waited.clone(), since: None });
    }
    waited
}

/// A body that is waited for while it has nothing to read yet.
struct Awaited {
    inner: Body,
    waited: Waited,
    since: Option<Instant>,
}

impl Awaited {
    fn arrived(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited.add(since);
        }
    }
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if polled.is_pending() {
            this.since.get_or_insert_with(Instant::now);
        } else {
            this.arrived();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Also when the rest never came.
impl Drop for Awaited {
    fn drop(&mut self) {
        self.arrived();
    }
}
