//! The body of a request: bytes, which can be sent again, or a stream, which can be sent once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use kennel_core::BoxError;

/// The caller's stream failed; the upstream is not at fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the request body")]
pub(crate) struct BodyError(#[source] BoxError);

#[derive(Clone)]
pub(crate) enum RequestBody {
    Bytes(Bytes),
    Stream(StreamBody),
}

impl RequestBody {
    /// Whether the body can be sent completely.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Stream(stream) => !stream.state().has_begun,
        }
    }
}

impl From<RequestBody> for reqwest::Body {
    fn from(body: RequestBody) -> Self {
        match body {
            RequestBody::Bytes(bytes) => bytes.into(),
            RequestBody::Stream(stream) => Self::wrap_stream(stream),
        }
    }
}

/// Clones share the stream, so that it is still there when an attempt fails before the stream has begun.
#[derive(Clone)]
pub(crate) struct StreamBody(Arc<Mutex<StreamState>>);

struct StreamState {
    chunks: BoxStream<'static, Result<Bytes, BoxError>>,
    has_begun: bool,
}

impl StreamBody {
    pub(crate) fn new(chunks: BoxStream<'static, Result<Bytes, BoxError>>) -> Self {
        Self(Arc::new(Mutex::new(StreamState { chunks, has_begun: false })))
    }

    fn state(&self) -> MutexGuard<'_, StreamState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for StreamBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.state();
        state.has_begun = true;
        state.chunks.as_mut().poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map_err(BodyError)))
    }
}
