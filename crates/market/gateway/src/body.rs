//! The bodies of requests and responses, which stream through the gateway under limits.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use kennel_app::Stop;
use kennel_core::{BoxError, ErrorKind};
use kennel_http::HttpError;
use kennel_http::body::BodyIdleTimeout;
use kennel_net::expired;
use tokio::time::{Instant, Sleep, sleep};

use crate::metrics::OpenStream;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The body is larger than its route permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is larger than {0} bytes")]
pub(crate) struct TooLarge(pub(crate) u64);

/// How the client has failed to send a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadFault {
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Idle(#[from] BodyIdleTimeout),
    #[error("the body was not sent to its end")]
    Aborted,
}

impl From<UploadFault> for HttpError {
    fn from(fault: UploadFault) -> Self {
        let kind = match fault {
            UploadFault::TooLarge(_) => ErrorKind::TooLarge,
            UploadFault::Idle(_) => ErrorKind::ClientTimeout,
            UploadFault::Aborted => ErrorKind::Malformed,
        };
        Self::new(kind).with_detail(fault.to_string())
    }
}

/// When something arrived last, such as a byte of a request.
#[derive(Debug)]
pub(crate) struct Activity(AtomicU64);

/// Times are counted from here, since an atomic has no room for an instant.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Activity {
    pub(crate) fn new() -> Self {
        let activity = Self(AtomicU64::default());
        activity.advance();
        activity
    }

    pub(crate) fn advance(&self) {
        let millis = EPOCH.elapsed().as_millis();
        self.0.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        *EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// How far the body of a request has come. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Upload(Arc<UploadState>);

#[derive(Debug)]
struct UploadState {
    activity: Activity,
    is_waiting: AtomicBool,
    fault: OnceLock<UploadFault>,
}

impl Upload {
    pub(crate) fn new() -> Self {
        let (is_waiting, fault) = (AtomicBool::new(false), OnceLock::new());
        Self(Arc::new(UploadState { activity: Activity::new(), is_waiting, fault }))
    }

    /// When something of it arrived last.
    pub(crate) fn last(&self) -> Instant {
        self.0.activity.last()
    }

    /// Whether the upstream would take more than the client has sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.is_waiting.load(Ordering::Relaxed)
    }

    /// How the client has failed to send it. The error of the upstream's connection may not say so.
    pub(crate) fn fault(&self) -> Option<UploadFault> {
        self.0.fault.get().copied()
    }

    fn set_waiting(&self, is_waiting: bool) {
        self.0.is_waiting.store(is_waiting, Ordering::Relaxed);
    }
}

/// The body of a request on its way to an upstream.
pub(crate) struct RequestBody {
    inner: Body,
    limit: u64,
    received: u64,
    idle: IdleTimer,
    upload: Option<Upload>,
}

impl RequestBody {
    pub(crate) fn empty() -> Self {
        Self { inner: Body::empty(), limit: 0, received: 0, idle: IdleTimer::new(Duration::ZERO), upload: None }
    }

    pub(crate) fn new(inner: Body, limit: u64, idle: Duration, upload: Upload) -> Self {
        Self { inner, limit, received: 0, idle: IdleTimer::new(idle), upload: Some(upload) }
    }

    fn fail(&self, fault: UploadFault) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(upload) = &self.upload {
            // The first one is the cause of others.
            upload.0.fault.set(fault).ok();
        }
        Poll::Ready(Some(Err(fault.into())))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if let Some(upload) = &this.upload {
            upload.set_waiting(polled.is_pending());
        }
        let Poll::Ready(frame) = polled else {
            ready!(this.idle.poll(cx));
            return this.fail(BodyIdleTimeout(this.idle.timeout).into());
        };
        this.idle.reset();
        if let Some(upload) = &this.upload {
            upload.0.activity.advance();
        }
        let frame = match frame.transpose() {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "client aborts its request");
                return this.fail(UploadFault::Aborted);
            }
        };
        if let Some(data) = frame.as_ref().and_then(Frame::data_ref) {
            this.received += data.len() as u64;
            if this.received > this.limit {
                return this.fail(TooLarge(this.limit).into());
            }
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// How the response of a stream ends before its upstream ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// As if it were complete. Clients of server-sent events connect again, to another process or with other credentials.
    Complete,
    /// With trailers of gRPC that say why.
    GrpcStatus,
}

/// Completes when a stream has to end, with the reason: the process stops, or the credentials of the client expire.
pub(crate) async fn stream_end(stop: Stop, expires: Option<Instant>) -> ErrorKind {
    tokio::select! {
        biased;
        () = stop.requested() => ErrorKind::Unavailable,
        () = expired(expires) => ErrorKind::Unauthenticated,
    }
}

/// The body of a response on its way to a client. What it owns is released with its last byte.
pub(crate) struct ResponseBody<P> {
    inner: Option<Incoming>,
    idle: IdleTimer,
    end: Option<(BoxFuture<'static, ErrorKind>, StreamEnd)>,
    /// The permits of the request, and its place among the open streams.
    owned: (P, Option<OpenStream>),
}

impl<P> ResponseBody<P> {
    pub(crate) fn new(inner: Incoming, idle: Duration, permit: P) -> Self {
        Self { inner: Some(inner), idle: IdleTimer::new(idle), end: None, owned: (permit, None) }
    }

    /// Ends when `reason` is known.
    pub(crate) fn until(
        mut self,
        reason: impl Future<Output = ErrorKind> + Send + 'static,
        end: StreamEnd,
        open: OpenStream,
    ) -> Self {
        self.end = Some((reason.boxed(), end));
        self.owned.1 = Some(open);
        self
    }
}

impl<P: Unpin> HttpBody for ResponseBody<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // First, so that a stream ends that always has more.
        if let Some((reason, end)) = &mut this.end
            && this.inner.is_some()
            && let Poll::Ready(reason) = reason.poll_unpin(cx)
        {
            this.inner = None;
            return Poll::Ready(match end {
                StreamEnd::Complete => None,
                StreamEnd::GrpcStatus => Some(Ok(Frame::trailers(trailers(reason)))),
            });
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            this.idle.reset();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.idle.poll(cx));
        Poll::Ready(Some(Err(BodyIdleTimeout(this.idle.timeout).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

fn trailers(reason: ErrorKind) -> HeaderMap {
    HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(reason.codes().grpc))])
}

/// Fires when nothing has arrived for a while. The timer exists only while something is awaited.
struct IdleTimer {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    const fn new(timeout: Duration) -> Self {
        Self { timeout, timer: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        self.timer.get_or_insert_with(|| Box::pin(sleep(timeout))).poll_unpin(cx)
    }

    fn reset(&mut self) {
        self.timer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_the_process_or_the_credentials() {
        let (stop, at) = (Stop::new(), Instant::now() + Duration::from_mins(5));
        assert_eq!(stream_end(stop.clone(), Some(at)).await, ErrorKind::Unauthenticated);
        assert_eq!(Instant::now(), at);
        let unlimited = tokio::time::timeout(Duration::from_hours(24), stream_end(stop.clone(), None));
        assert!(unlimited.await.is_err());
        stop.request();
        assert_eq!(stream_end(stop, Some(at)).await, ErrorKind::Unavailable, "at another process, it is refused");
    }
}
