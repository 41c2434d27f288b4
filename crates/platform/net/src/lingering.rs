//! Lingering close for requests whose body was not read to its end, such as uploads that are too large.
//!
//! A client that is still sending reads the response only afterwards. If the server closed the connection at once, the
//! kernel would answer further data with a TCP reset, and the client would lose the response.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a draining connection may receive nothing before it is closed.
const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection is drained at most.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Size of the buffer that drained data is read into.
const CHUNK_BYTES: usize = 8 * 1024;
/// An unread remainder up to this size has probably arrived already, so the connection can be reused.
const SMALL_REMAINDER_BYTES: u64 = 16 * 1024;

/// How many bytes of the current request's body are not read yet; `u64::MAX` if the length is unknown.
#[derive(Debug, Clone, Default)]
pub struct UnreadBytes(Arc<AtomicU64>);

impl UnreadBytes {
    /// Wraps `body` so that its unread length is recorded here.
    pub fn track<B: Body>(&self, body: B) -> TrackedBody<B> {
        let tracked = TrackedBody { body, unread: self.clone() };
        tracked.update();
        tracked
    }

    /// Whether so much is unread that the connection should not be reused.
    pub fn is_large(&self) -> bool {
        self.0.load(Ordering::Relaxed) > SMALL_REMAINDER_BYTES
    }

    fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A body that records how much of it is unread.
#[derive(Debug)]
pub struct TrackedBody<B> {
    body: B,
    unread: UnreadBytes,
}

impl<B: Body> TrackedBody<B> {
    fn update(&self) {
        let left = if self.body.is_end_stream() { 0 } else { self.body.size_hint().exact().unwrap_or(u64::MAX) };
        self.unread.0.store(left, Ordering::Relaxed);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_some() {
            self.update();
        } else {
            self.unread.0.store(0, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that closes in two steps when a request was not read to its end: it shuts down the write half, then
/// reads and discards what the client still sends.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    unread: UnreadBytes,
    /// Set once the write half is shut down.
    drain: Option<Drain>,
}

#[derive(Debug)]
struct Drain {
    idle: Pin<Box<Sleep>>,
    end: Instant,
}

impl<S> Lingering<S> {
    pub const fn new(stream: S, unread: UnreadBytes) -> Self {
        Self { stream, unread, drain: None }
    }
}

impl Drain {
    fn new() -> Self {
        Self { idle: Box::pin(sleep(DRAIN_IDLE_TIMEOUT)), end: Instant::now() + DRAIN_TIMEOUT }
    }

    /// Ready when the client has closed its half of the connection, or when a timeout has passed.
    fn poll(&mut self, mut stream: Pin<&mut impl AsyncRead>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
            let mut chunk = ReadBuf::uninit(&mut space);
            match stream.as_mut().poll_read(cx, &mut chunk) {
                Poll::Ready(Ok(())) if !chunk.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.idle.as_mut().poll(cx),
            }
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(());
            }
            self.idle.as_mut().reset(self.end.min(now + DRAIN_IDLE_TIMEOUT));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.drain.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.unread.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        this.drain.get_or_insert_with(Drain::new).poll(Pin::new(&mut this.stream), cx).map(Ok)
    }
}
