//! The response of a call: ends it at its deadline, and records how it ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use super::metrics::ClientTimer;
use crate::body::outcome;

/// A call from its start to its end. A call that is dropped before its end counts as cancelled.
pub(crate) struct ActiveCall {
    span: Span,
    timer: ClientTimer,
    ended: bool,
}

impl ActiveCall {
    pub(crate) const fn new(span: Span, timer: ClientTimer) -> Self {
        Self { span, timer, ended: false }
    }

    pub(crate) const fn timer(&self) -> &ClientTimer {
        &self.timer
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let span = std::mem::replace(&mut self.span, Span::none());
        span.in_scope(|| self.timer.stop(code));
        span.record("rpc.grpc.status_code", i32::from(code));
        // For a client, every status but OK is an error.
        if code != Code::Ok {
            span.record("otel.status_code", "ERROR");
        }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

pub(crate) struct TrackedBody {
    inner: Body,
    call: ActiveCall,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl TrackedBody {
    /// Wraps the body of a response. One whose `headers` contain a status has ended already.
    pub(crate) fn new(headers: &HeaderMap, inner: Body, mut call: ActiveCall, deadline: Option<Instant>) -> Self {
        if let Some(code) = outcome(headers) {
            call.end(code);
        }
        Self { inner, call, deadline: deadline.map(|at| Box::pin(sleep_until(at))) }
    }
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if polled.is_pending()
            && let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            this.inner = Body::empty();
            this.deadline = None;
            this.call.end(Code::DeadlineExceeded);
            return Poll::Ready(Some(Err(Status::deadline_exceeded("the call did not complete in time"))));
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.end(outcome(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.end(status.code()),
            Poll::Ready(None) => this.call.end(Code::Unknown),
            Poll::Pending => {}
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
