//! The server component: listens, serves HTTP/1.1 and HTTP/2, with or without TLS, and stops without losing a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use kennel_app::{Component, Phase, Stop};
use kennel_core::BoxError;
use kennel_net::{Acceptor, Address, Incoming as Accepted, Lingering, Listener, Protocols, ServerTls, UnreadBytes};
use tokio::time::{sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::HttpConfig;

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
    listener: Listener,
    tls: Option<ServerTls>,
}

impl HttpServer {
    /// Creates a server for `router`, which must have its layers already; see [`crate::stack()`].
    pub fn new(name: &'static str, config: &HttpConfig, router: Router) -> Self {
        Self { name, config: config.clone(), router, listener: Listener::new(name, config.addr()), tls: None }
    }

    /// Serves with TLS only, if there is one.
    #[must_use]
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    /// The address to listen on, with the port that the system chose if the configured port is 0.
    pub fn address(&self) -> Address {
        self.listener.address()
    }
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
        Ok(self.listener.bind()?)
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let acceptor = Acceptor::new(self.listener.into_socket()?, self.config.max_connections)
            .with_tls(self.tls, Protocols::Http);
        let context = ConnectionContext {
            builder: builder(&self.config),
            router: self.router,
            stop: stop.clone(),
            closing: CancellationToken::new(),
            first_request_timeout: self.config.header_read_timeout,
        };
        tokio::select! {
            () = serve(acceptor, Arc::new(context), self.config.linger) => {}
            () = stop.aborted() => tracing::warn!(component = self.name, "requests in flight were aborted"),
        }
        Ok(())
    }
}

/// Serves until a stop is requested, then until every request has its response.
async fn serve(mut acceptor: Acceptor, context: Arc<ConnectionContext>, linger: Duration) {
    let connection = |accepted, peer| Arc::clone(&context).serve(accepted, peer);
    acceptor.accept_until(context.stop.requested(), connection).await;
    // From here on each response closes its connection. Accept for a while longer: a client that is about to
    // reuse its connection or to open another gets a response instead of a reset.
    if !acceptor.is_idle() {
        acceptor.accept_until(sleep(linger), connection).await;
    }
    acceptor.accept_queued(connection);
    let mut connections = acceptor.close();
    context.closing.cancel();
    connections.ended().await;
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

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
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
    async fn serve(self: Arc<Self>, accepted: Accepted, peer: SocketAddr) {
        let Some(stream) = accepted.establish().await else { return };
        let (started, unread) = (CancellationToken::new(), UnreadBytes::default());
        let service = {
            let (context, started, unread) = (Arc::clone(&self), started.clone(), unread.clone());
            hyper::service::service_fn(move |request| {
                if !started.is_cancelled() {
                    started.cancel();
                }
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
