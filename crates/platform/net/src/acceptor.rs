//! Accepts connections up to a limit, and serves each in a task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::connection::Incoming;
use crate::tls::{Protocols, ServerTls};

/// Pause after a failed accept, such as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and owns the tasks that serve them; dropping it aborts those tasks.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    tls: Option<(ServerTls, Protocols)>,
    closing: CancellationToken,
    connections: Connections,
}

/// The tasks that serve connections; dropping it aborts them.
#[derive(Debug, Default)]
pub struct Connections(JoinSet<()>);

impl Acceptor {
    /// Accepts from `listener`. With `max_connections` open ones, more wait in the queue of the kernel.
    pub fn new(listener: TcpListener, max_connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, permits, tls: None, closing: CancellationToken::new(), connections: Connections::default() }
    }

    /// Accepts connections with TLS only, if there is one.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ServerTls>, protocols: Protocols) -> Self {
        self.tls = tls.map(|tls| (tls, protocols));
        self
    }

    /// Accepts connections until `end`. `serve` returns the work of one connection, which is open until that completes.
    pub async fn accept_until<F>(
        &mut self,
        end: impl Future<Output = ()>,
        mut serve: impl FnMut(Incoming, SocketAddr) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(ended) = self.connections.0.join_next() => log_panic(ended),
                (permit, accepted) = accept(&self.permits, &self.listener) => match accepted {
                    Ok((stream, peer)) => self.spawn(stream, peer, permit, &mut serve),
                    Err(error) => back_off(&error).await,
                },
            }
        }
    }

    /// Accepts the connections that are in the queue of the kernel now, also those above the limit.
    pub fn accept_queued<F>(&mut self, mut serve: impl FnMut(Incoming, SocketAddr) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while let Some(Ok((stream, peer))) = self.listener.accept().now_or_never() {
            self.spawn(stream, peer, None, &mut serve);
        }
    }

    /// Whether no connection is open.
    pub fn is_idle(&self) -> bool {
        self.connections.0.is_empty()
    }

    /// Stops listening. Returns the connections that are still open; handshakes that are running end soon.
    pub fn close(self) -> Connections {
        self.closing.cancel();
        self.connections
    }

    fn spawn<F>(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
        serve: &mut impl FnMut(Incoming, SocketAddr) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        // Nagle's algorithm delays small responses until the peer's acknowledgement. A failure here only costs latency.
        stream.set_nodelay(true).ok();
        let served = serve(Incoming { stream, tls: self.tls.clone(), closing: self.closing.clone() }, peer);
        self.connections.0.spawn(async move {
            let _permit = permit;
            served.await;
        });
    }
}

impl Connections {
    /// Waits until every connection has ended.
    pub async fn ended(&mut self) {
        while let Some(ended) = self.0.join_next().await {
            log_panic(ended);
        }
    }

    /// Aborts every connection, and waits until its task has ended.
    pub async fn abort(&mut self) {
        self.0.shutdown().await;
    }
}

async fn accept(
    permits: &Arc<Semaphore>,
    listener: &TcpListener,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    (permit, listener.accept().await)
}

/// Pauses after a failed accept, unless only that connection failed. Without file descriptors each retry would fail
/// at once and the loop would spin.
async fn back_off(error: &io::Error) {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_one_connection {
        tracing::warn!(error = error as &dyn std::error::Error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "connection task panicked");
    }
}
