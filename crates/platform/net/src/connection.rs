//! An accepted connection, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::tls::{Protocols, Refused, ServerTls};

/// How long a handshake may still take once the server has stopped to accept connections.
const CLOSING_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection that was accepted; with TLS, its handshake is still to be done.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) stream: TcpStream,
    pub(crate) tls: Option<(ServerTls, Protocols)>,
    /// Cancelled once no more connections are accepted.
    pub(crate) closing: CancellationToken,
}

/// The bytes of a client.
#[derive(Debug)]
pub enum Connection {
    /// As they were sent.
    Plain(TcpStream),
    /// Decrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Incoming {
    /// Completes the handshake, if there is one; `None` if it fails, which concerns this connection only.
    pub async fn establish(self) -> Option<Connection> {
        let Some((tls, protocols)) = self.tls else { return Some(Connection::Plain(self.stream)) };
        // Boxed, because its state is large and connections are open for much longer.
        let handshake = Box::pin(tls.handshake(self.stream, protocols));
        let closing = async {
            self.closing.cancelled().await;
            sleep(CLOSING_HANDSHAKE_TIMEOUT).await;
        };
        let result = tokio::select! {
            result = handshake => result,
            () = closing => Err(Refused),
        };
        result.ok().map(Connection::Tls)
    }
}

impl Connection {
    /// Waits until the client has sent something, which is not read; false if it has closed the connection.
    pub async fn has_data(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(stream) => Ok(stream.peek(&mut [0]).await? == 1),
            Self::Tls(stream) => Ok(!stream.fill_buf().await?.is_empty()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
