//! The answer to a call as it is sent: watched to its end, and cut short when it must not go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;
use http_body::{Body as _, Frame, SizeHint};
use kennel_app::Stop;
use kennel_core::ErrorKind;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use crate::call::panicked;
use crate::context::CallContext;
use crate::deadline::Limit;
use crate::metrics::{CallTimer, Fault};
use crate::status::{Details, status};
use crate::trace;

/// A call from its start to its end: its timer, its span and its place among those in flight.
/// Dropped before its end, it counts as cancelled by the caller.
pub(crate) struct Running {
    pub(crate) call: CallContext,
    pub(crate) span: Span,
    pub(crate) timer: CallTimer,
    pub(crate) place: Option<OwnedSemaphorePermit>,
    pub(crate) ended: bool,
}

impl Running {
    fn end(&mut self, code: Code) {
        self.end_by(code, Fault::of(code));
    }

    fn end_by(&mut self, code: Code, fault: Fault) {
        if !std::mem::replace(&mut self.ended, true) {
            let span = std::mem::replace(&mut self.span, Span::none());
            span.in_scope(|| self.timer.end(code, fault));
            trace::end(span, code);
            self.place = None;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// What ends a stream of responses before it ends by itself.
pub(crate) struct Limits {
    deadline: Option<(Pin<Box<Sleep>>, Fault)>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Limits {
    /// Ends a stream at `deadline` and when the server stops: its caller may not leave for days.
    pub(crate) fn new(deadline: Option<Limit>, stop: Stop) -> Self {
        let deadline = deadline.map(|limit| (Box::pin(sleep_until(limit.at)), limit.fault));
        Self { deadline, stop: Box::pin(async move { stop.requested().await }) }
    }

    /// Why the stream must end now, and whose failure that is. That a server stops is nobody's.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(ErrorKind, Fault, &'static str)> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready((ErrorKind::Unavailable, Fault::None, "server is stopping"));
        }
        match &mut self.deadline {
            Some((deadline, fault)) => {
                let fault = *fault;
                deadline.as_mut().poll(cx).map(|()| (ErrorKind::Timeout, fault, "deadline has passed"))
            }
            None => Poll::Pending,
        }
    }
}

/// The body of an answer.
pub(crate) struct CallBody {
    inner: Body,
    running: Running,
    limits: Option<Limits>,
}

impl CallBody {
    /// Watches `inner`, whose `head` may hold the outcome already. Only streams have `limits`: a single response is
    /// whole by now.
    pub(crate) fn new(head: &Parts, inner: Body, mut running: Running, limits: Option<Limits>) -> Self {
        if let Some(code) = outcome(&head.headers) {
            running.end_by(code, head.extensions.get().copied().unwrap_or(Fault::of(code)));
        }
        Self { inner, running, limits }
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<HeaderMap> {
        let Some(limits) = &mut self.limits else { return Poll::Pending };
        let (kind, fault, reason) = std::task::ready!(limits.poll(cx));
        self.running.span.in_scope(|| tracing::debug!(reason, "stream is cut short"));
        Poll::Ready(self.cut(kind, fault))
    }

    /// Ends the answer with a status, and drops the work behind it.
    fn cut(&mut self, kind: ErrorKind, fault: Fault) -> HeaderMap {
        self.inner = Body::empty();
        self.limits = None;
        let status = self.running.call.enter(|| status(kind, "", Details::default()));
        self.running.end_by(status.code(), fault);
        trailers(&status)
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = {
            let Self { inner, running, .. } = self;
            let _entered = running.span.enter();
            let poll = || running.call.enter(|| Pin::new(inner).poll_frame(cx));
            catch_unwind(AssertUnwindSafe(poll)).inspect_err(|panic| panicked(&**panic))
        };
        polled.unwrap_or_else(|_| Poll::Ready(Some(Ok(Frame::trailers(self.cut(ErrorKind::Internal, Fault::Server))))))
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.running.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(trailers) = this.poll_limits(cx) {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let polled = this.poll_inner(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.running.end(outcome(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => this.running.end(status.code()),
            Poll::Ready(None) => this.running.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.running.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The status, where the headers hold it.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unwritable) = status.add_header(&mut trailers) {
        tracing::error!(error = &unwritable as &dyn std::error::Error, "status is not writable");
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from(i32::from(status.code())));
    }
    trailers
}
