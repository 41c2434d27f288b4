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

use self::lingering::{Lingering, UnreadBytes};
use crate::config::HttpConfig;

/// Length of the kernel's queue of connections that are not accepted yet.
const BACKLOG: u32 = 1_024;
/// Pause after a failed accept, such as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Limits on the memory that one client can occupy.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_STREAMS: u32 = 256;
/// Interval of HTTP/2 keep-alive pings.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Serves a router as a [`Component`]. Binds in `init`, so that a port in use is reported before readiness.
///
/// Every request has the peer's [`ConnectInfo`] and the server's [`Stop`] as extensions. A handler that streams
/// without end must end its response when the stop is requested.
#[derive(Debug)]
pub struct HttpServer {
    name: &'static str,
    config: HttpConfig,
    router: Router,
    listener: Option<TcpListener>,
    address: watch::Sender<Option<SocketAddr>>,
}

/// The address that a server listens on, once it is bound.
#[derive(Debug, Clone)]
pub struct Address(watch::Receiver<Option<SocketAddr>>);

impl Address {
    /// Waits until the server is bound. Returns `None` if the server was dropped before that.
    pub async fn bound(&mut self) -> Option<SocketAddr> {
        *self.0.wait_for(Option::is_some).await.ok()?
    }

    /// The bound address, or `None` before the server is bound.
    pub fn get(&self) -> Option<SocketAddr> {
        *self.0.borrow()
    }
}

impl HttpServer {
    /// Creates a server for `router`, which must have its layers already; see [`crate::stack()`].
    pub fn new(name: &'static str, config: &HttpConfig, router: Router) -> Self {
        Self { name, config: config.clone(), router, listener: None, address: watch::Sender::new(None) }
    }

    /// The address to listen on, with the port that the system chose if the configured port is 0.
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

/// The server cannot bind or listen on its address.
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
            () = stop.aborted() => tracing::warn!(component = self.name, "requests in flight were aborted"),
        }
        Ok(())
    }
}

/// Accepts connections and owns the tasks that serve them; dropping it aborts those tasks.
struct Acceptor {
    listener: TcpListener,
    limit: Arc<Semaphore>,
    linger: Duration,
    connections: JoinSet<()>,
    context: Arc<ConnectionContext>,
}

/// What the tasks of all connections share.
struct ConnectionContext {
    builder: Builder<TokioExecutor>,
    router: Router,
    stop: Stop,
    /// Cancelled once no more connections are accepted.
    closing: CancellationToken,
    first_request_timeout: Duration,
}

impl Acceptor {
    fn new(listener: TcpListener, config: &HttpConfig, router: Router, stop: Stop) -> Self {
        let context = ConnectionContext {
            builder: builder(config),
            router,
            stop,
            closing: CancellationToken::new(),
            first_request_timeout: config.header_read_timeout(),
        };
        Self {
            listener,
            limit: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            linger: config.linger(),
            connections: JoinSet::new(),
            context: Arc::new(context),
        }
    }

    async fn run(mut self) {
        let stop = self.context.stop.clone();
        self.accept_until(stop.requested()).await;
        // From here on each response closes its connection. Accept for a while longer: a client that is about to
        // reuse its connection or to open another gets a response instead of a reset.
        if !self.connections.is_empty() {
            self.accept_until(sleep(self.linger)).await;
        }
        while let Some(Ok((stream, peer))) = self.listener.accept().now_or_never() {
            self.serve(stream, peer, None);
        }
        let Self { listener, mut connections, context, .. } = self;
        drop(listener);
        context.closing.cancel();
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    }

    async fn accept_until(&mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(ended) = self.connections.join_next() => log_panic(ended),
                (permit, accepted) = accept(&self.limit, &self.listener) => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer, permit),
                    Err(error) => back_off(&error).await,
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        let context = Arc::clone(&self.context);
        self.connections.spawn(async move {
            let _permit = permit;
            context.serve(stream, peer).await;
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

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "connection task panicked");
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

impl ConnectionContext {
    /// Serves one connection until the client closes it, or shuts it down gracefully once the server closes.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Nagle's algorithm delays small responses until the peer's acknowledgement. A failure here only costs latency.
        stream.set_nodelay(true).ok();
        let (started, unread) = (CancellationToken::new(), UnreadBytes::default());
        let service = {
            let (context, started, unread) = (Arc::clone(&self), started.clone(), unread.clone());
            hyper::service::service_fn(move |request| {
                started.cancel();
                Arc::clone(&context).respond(request, peer, unread.clone())
            })
        };
        let stream = TokioIo::new(Lingering::new(stream, unread));
        let connection = self.builder.serve_connection_with_upgrades(stream, service);
        tokio::pin!(connection);
        let deadline = tokio::time::Instant::now() + self.first_request_timeout;
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.closing.cancelled() => {}
            () = first_request_timeout(&started, deadline) => return,
        }
        if !started.is_cancelled() {
            // The first request may be in transit; a graceful shutdown now would drop it.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = started.cancelled() => {}
                () = sleep(CLOSING_FIRST_REQUEST_TIMEOUT) => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        // The client can break off a connection at any time, which is no error of the server.
        connection.await.ok();
    }

    async fn respond(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        unread: UnreadBytes,
    ) -> Result<axum::response::Response, Infallible> {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(self.stop.clone());
        let persists = request.version() < Version::HTTP_2;
        let request = request.map(|body| if persists { Body::new(unread.track(body)) } else { Body::new(body) });
        let mut response = self.router.clone().oneshot(request).await?;
        if persists && (self.stop.is_requested() || unread.is_large()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// How long a connection without a request stays open once the server closes.
const CLOSING_FIRST_REQUEST_TIMEOUT: Duration = Duration::from_millis(100);

/// Completes at `deadline` if no request has started by then; otherwise never.
async fn first_request_timeout(started: &CancellationToken, deadline: tokio::time::Instant) {
    if timeout_at(deadline, started.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}
