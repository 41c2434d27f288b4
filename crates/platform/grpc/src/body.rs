//! The response body of a call: records how the call ends, and ends it early at its deadline or at shutdown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;
use http_body::{Body as _, Frame, SizeHint};
use kennel_app::Stop;
use kennel_core::ErrorKind;
use kennel_net::{AccessDenied, expired};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use crate::call::log_panic;
use crate::context::CallContext;
use crate::deadline::Limit;
use crate::metrics::{CallTimer, Fault};
use crate::status::{Details, denied, kind_of, status};
use crate::trace;

/// A call from its start to its end: its timer, its span and its in-flight permit.
/// A call that is dropped before its end counts as cancelled by the caller.
pub(crate) struct ActiveCall {
    pub(crate) call: CallContext,
    pub(crate) span: Span,
    /// False if the trace is known not to be recorded.
    pub(crate) is_sampled: bool,
    pub(crate) timer: CallTimer,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    pub(crate) ended: bool,
}

impl ActiveCall {
    fn end(&mut self, code: Code) {
        self.end_by(code, Fault::of(code));
    }

    fn end_by(&mut self, code: Code, fault: Fault) {
        if !std::mem::replace(&mut self.ended, true) {
            let span = std::mem::replace(&mut self.span, Span::none());
            if self.is_sampled {
                span.in_scope(|| self.timer.stop(code, fault));
                trace::end(span, code, self.call.request.principal());
            } else {
                self.timer.stop(code, fault);
            }
            self.permit = None;
        }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// What ends a response stream before the handler does.
pub(crate) struct StreamLimits {
    deadline: Option<(Pin<Box<Sleep>>, Fault)>,
    /// Completes with `true` when the credentials of the caller have expired, and with `false` when the server stops.
    end: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl StreamLimits {
    /// Ends a stream at `deadline`, when the credentials of its caller expire, and when the server stops: a caller may stay
    /// connected for days.
    pub(crate) fn new(deadline: Option<Limit>, expires: Option<Instant>, stop: Stop) -> Self {
        let deadline = deadline.map(|limit| (Box::pin(sleep_until(limit.at)), limit.fault));
        let end = async move {
            tokio::select! {
                biased;
                () = stop.requested() => false,
                () = expired(expires) => true,
            }
        };
        Self { deadline, end: Box::pin(end) }
    }

    /// The status with which the stream must end now, and who is at fault. Nobody is at fault when the server stops.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Status, Fault)> {
        let of_kind = |kind| status(kind, "", Details::default());
        match self.end.as_mut().poll(cx) {
            Poll::Ready(true) => return Poll::Ready((denied(&AccessDenied::expired()), Fault::Caller)),
            Poll::Ready(false) => return Poll::Ready((of_kind(ErrorKind::Unavailable), Fault::None)),
            Poll::Pending => {}
        }
        match &mut self.deadline {
            Some((deadline, fault)) => {
                let fault = *fault;
                deadline.as_mut().poll(cx).map(|()| (of_kind(ErrorKind::Timeout), fault))
            }
            None => Poll::Pending,
        }
    }
}

/// The body of a response.
pub(crate) struct CallBody {
    inner: Body,
    active: ActiveCall,
    limits: Option<StreamLimits>,
}

impl CallBody {
    /// Wraps `inner`. A response whose `head` contains a status has ended already. Only streams have `limits`: a unary
    /// response is complete by now.
    pub(crate) fn new(head: &Parts, inner: Body, mut active: ActiveCall, limits: Option<StreamLimits>) -> Self {
        if let Some(code) = outcome(&head.headers) {
            active.end_by(code, head.extensions.get().copied().unwrap_or_else(|| fault_of(code, &head.headers)));
        }
        Self { inner, active, limits }
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<HeaderMap> {
        let Some(limits) = &mut self.limits else { return Poll::Pending };
        let (status, fault) = std::task::ready!(self.active.call.enter(|| limits.poll(cx)));
        self.active.span.in_scope(|| tracing::debug!(status = %status.code(), "stream ended early"));
        Poll::Ready(self.abort(&status, fault))
    }

    /// Ends the response with a status, and drops the handler's stream.
    fn abort(&mut self, status: &Status, fault: Fault) -> HeaderMap {
        self.inner = Body::empty();
        self.limits = None;
        self.active.end_by(status.code(), fault);
        trailers(status)
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = {
            let Self { inner, active, limits } = self;
            // Only streams run code of the service from here on.
            let _entered = limits.as_ref().map(|_| active.span.enter());
            let poll = || active.call.enter(|| Pin::new(inner).poll_frame(cx));
            catch_unwind(AssertUnwindSafe(poll)).inspect_err(|panic| active.span.in_scope(|| log_panic(&**panic)))
        };
        polled.unwrap_or_else(|_| {
            let status = self.active.call.enter(|| status(ErrorKind::Internal, "", Details::default()));
            Poll::Ready(Some(Ok(Frame::trailers(self.abort(&status, Fault::Server)))))
        })
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.active.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(trailers) = this.poll_limits(cx) {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let polled = this.poll_inner(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = outcome(trailers).unwrap_or(Code::Unknown);
                    this.active.end_by(code, fault_of(code, trailers));
                }
            }
            Poll::Ready(Some(Err(status))) => this.active.end(status.code()),
            Poll::Ready(None) => this.active.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.active.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The status code, if the headers contain it.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Who is at fault for a status in headers. Overload and a rate limit have the same code; only the details differ.
fn fault_of(code: Code, headers: &HeaderMap) -> Fault {
    let limited = code == Code::ResourceExhausted
        && Status::from_header_map(headers).is_some_and(|status| kind_of(&status) == Some(ErrorKind::RateLimited));
    if limited { Fault::Caller } else { Fault::of(code) }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(error) = status.add_header(&mut trailers) {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot encode status");
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from(i32::from(status.code())));
    }
    trailers
}
