//! Requests that are answered before their body was read to its end, such as uploads that are too large.
//!
//! A client that is still sending reads the answer only afterwards. Were the connection closed at once, the system
//! would answer what still comes with a reset, and the client would lose the answer.

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

/// How long a client may be silent before it is given up.
const IDLE: Duration = Duration::from_secs(2);
/// How long a client may go on sending in all.
const LONGEST: Duration = Duration::from_secs(30);
/// What is read and thrown away at a time.
const PIECE: usize = 8 * 1024;
/// A rest up to this is likely there already, and the connection can be used again.
const SMALL: u64 = 16 * 1024;

/// How much of the body of a connection's request was not read, in bytes; the most there is where nobody can tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<AtomicU64>);

impl Unread {
    /// Follows how much of `body` is read.
    pub(super) fn watch<B: Body>(&self, body: B) -> Watched<B> {
        let watched = Watched { body, unread: self.clone() };
        watched.note();
        watched
    }

    /// Whether so much is left that the connection should not be used again.
    pub(super) fn is_large(&self) -> bool {
        self.0.load(Ordering::Relaxed) > SMALL
    }

    fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A body whose rest is known to others.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    unread: Unread,
}

impl<B: Body> Watched<B> {
    fn note(&self) {
        let left = if self.body.is_end_stream() { 0 } else { self.body.size_hint().exact().unwrap_or(u64::MAX) };
        self.unread.0.store(left, Ordering::Relaxed);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_some() {
            self.note();
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

/// A connection that, when a request was not read to its end, is closed in two steps: it says that nothing more
/// comes, then reads what the client still sends and throws it away.
#[derive(Debug)]
pub(super) struct Lingering<S> {
    stream: S,
    unread: Unread,
    /// Set once nothing more is written.
    drain: Option<Drain>,
}

#[derive(Debug)]
struct Drain {
    idle: Pin<Box<Sleep>>,
    end: Instant,
}

impl<S> Lingering<S> {
    pub(super) const fn new(stream: S, unread: Unread) -> Self {
        Self { stream, unread, drain: None }
    }
}

impl Drain {
    fn new() -> Self {
        Self { idle: Box::pin(sleep(IDLE)), end: Instant::now() + LONGEST }
    }

    /// Ready when the client has closed its side, or is given up.
    fn poll(&mut self, mut stream: Pin<&mut impl AsyncRead>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut space = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            match stream.as_mut().poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.idle.as_mut().poll(cx),
            }
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(());
            }
            self.idle.as_mut().reset(self.end.min(now + IDLE));
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
