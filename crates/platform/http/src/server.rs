//! The server component: listens, serves HTTP/1.1 and HTTP/2 without TLS, and stops without losing a request.

mod lingering;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use kennel_app::{Component, Phase, Stop};
use kennel_core::BoxError;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::lingering::{Lingering, Unread};
use crate::config::HttpConfig;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1_024;
/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bounds on what one client can make the server hold.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_STREAMS: u32 = 256;
/// How often an HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Serves a router as a [`Component`]. Binds in `init`, so that a taken port is told before readiness.
///
/// Every request carries the peer's [`ConnectInfo`] and the server's [`Stop`] as extensions; a handler whose
/// response has no end must end it when the stop is requested.
#[derive(Debug)]
pub struct HttpServer {
    name: &'static str,
    config: HttpConfig,
    router: Router,
    listener: Option<TcpListener>,
    address: watch::Sender<Option<SocketAddr>>,
}

/// Where a server listens, once it does.
#[derive(Debug, Clone)]
pub struct Address(watch::Receiver<Option<SocketAddr>>);

impl Address {
    /// Waits until the server is bound. `None` when it was dropped before.
    pub async fn bound(&mut self) -> Option<SocketAddr> {
        *self.0.wait_for(Option::is_some).await.ok()?
    }

    /// Where it listens now.
    pub fn get(&self) -> Option<SocketAddr> {
        *self.0.borrow()
    }
}

impl HttpServer {
    /// A server of `router`, which has its layers already; see [`crate::stack()`].
    pub fn new(name: &'static str, config: &HttpConfig, router: Router) -> Self {
        Self { name, config: config.clone(), router, listener: None, address: watch::Sender::new(None) }
    }

    /// Where it listens; tells the port that was taken where the configuration said 0.
    pub fn address(&self) -> Address {
        Address(self.address.subscribe())
    }

    fn bind(&self) -> io::Result<TcpListener> {
        let addr = self.config.addr;
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct BindError {
    addr: SocketAddr,
    source: io::Error,
}

#[async_trait]
impl Component for HttpServer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn phase(&self) -> Phase {
        Phase::Transport
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        let addr = self.config.addr;
        let listener = self.bind().map_err(|source| BindError { addr, source })?;
        let local = listener.local_addr()?;
        tracing::info!(component = self.name, address = %local, "listening");
        self.listener = Some(listener);
        self.address.send_replace(Some(local));
        Ok(())
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => self.bind()?,
        };
        let acceptor = Acceptor::new(listener, &self.config, self.router, stop.clone());
        tokio::select! {
            () = acceptor.run() => {}
            () = stop.aborted() => tracing::warn!(component = self.name, "requests in hand were cut short"),
        }
        Ok(())
    }
}

/// Takes connections and owns the tasks that serve them; dropping it drops them.
struct Acceptor {
    listener: TcpListener,
    limit: Arc<Semaphore>,
    linger: Duration,
    connections: JoinSet<()>,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    builder: Builder<TokioExecutor>,
    router: Router,
    stop: Stop,
    /// Set once no more connections are taken.
    closing: CancellationToken,
    first_request: Duration,
}

impl Acceptor {
    fn new(listener: TcpListener, config: &HttpConfig, router: Router, stop: Stop) -> Self {
        let shared = Shared {
            builder: builder(config),
            router,
            stop,
            closing: CancellationToken::new(),
            first_request: config.header_read_timeout(),
        };
        Self {
            listener,
            limit: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            linger: config.linger(),
            connections: JoinSet::new(),
            shared: Arc::new(shared),
        }
    }

    async fn run(mut self) {
        let stop = self.shared.stop.clone();
        self.accept_until(stop.requested()).await;
        // From here on each response closes its connection. Clients that are about to reuse theirs or to open
        // another are served once more, rather than cut off.
        if !self.connections.is_empty() {
            self.accept_until(sleep(self.linger)).await;
        }
        while let Some(Ok((stream, peer))) = self.listener.accept().now_or_never() {
            self.serve(stream, peer, None);
        }
        let Self { listener, mut connections, shared, .. } = self;
        drop(listener);
        shared.closing.cancel();
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    }

    async fn accept_until(&mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(ended) = self.connections.join_next() => note(ended),
                (permit, accepted) = accept(&self.limit, &self.listener) => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer, permit),
                    Err(error) => pause(&error).await,
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        let shared = Arc::clone(&self.shared);
        self.connections.spawn(async move {
            let _permit = permit;
            shared.serve(stream, peer).await;
        });
    }
}

async fn accept(
    limit: &Arc<Semaphore>,
    listener: &TcpListener,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    let permit = Arc::clone(limit).acquire_owned().await.ok();
    (permit, listener.accept().await)
}

/// Most failures are of one connection and pass; without file descriptors each try would fail at once.
async fn pause(error: &io::Error) {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_one_connection {
        tracing::warn!(error = error as &dyn std::error::Error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "connection ended in a panic");
    }
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout())
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL);
    builder
}

impl Shared {
    /// Serves one connection until it ends by itself, or gracefully once the server closes.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Without it small responses wait for the peer's acknowledgement; with it missing they are only slower.
        stream.set_nodelay(true).ok();
        let (started, unread) = (CancellationToken::new(), Unread::default());
        let service = {
            let (shared, started, unread) = (Arc::clone(&self), started.clone(), unread.clone());
            hyper::service::service_fn(move |request| {
                started.cancel();
                Arc::clone(&shared).answer(request, peer, unread.clone())
            })
        };
        let stream = TokioIo::new(Lingering::new(stream, unread));
        let connection = self.builder.serve_connection_with_upgrades(stream, service);
        tokio::pin!(connection);
        let deadline = tokio::time::Instant::now() + self.first_request;
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.closing.cancelled() => {}
            () = silence(&started, deadline) => return,
        }
        if !started.is_cancelled() {
            // Its first request is on the way, for all the server knows; a graceful end now would drop it.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = started.cancelled() => {}
                () = sleep(FIRST_REQUEST_WHILE_CLOSING) => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        // How a connection ends is the client's affair as much as ours, and no one is left to be told.
        connection.await.ok();
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        unread: Unread,
    ) -> Result<axum::response::Response, Infallible> {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(self.stop.clone());
        let persists = request.version() < Version::HTTP_2;
        let request = request.map(|body| if persists { Body::new(unread.watch(body)) } else { Body::new(body) });
        let mut response = self.router.clone().oneshot(request).await?;
        if persists && (self.stop.is_requested() || unread.is_large()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// How long a connection without a request is kept once the server closes.
const FIRST_REQUEST_WHILE_CLOSING: Duration = Duration::from_millis(100);

/// Ends at `deadline` if no request has come by then; otherwise never.
async fn silence(started: &CancellationToken, deadline: tokio::time::Instant) {
    if timeout_at(deadline, started.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}
