//! Tunnels of `WebSocket`: connections that switch protocols, copied in both directions until one side ends or both are silent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kennel_app::{Component, Stop};
use kennel_core::BoxError;
use kennel_net::expired;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::body::Activity;

/// The only protocol that a route can permit.
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// How long both sides may take to switch after the response.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Tunnels that were accepted and are not started yet.
const QUEUE: usize = 64;

/// Starts tunnels.
#[derive(Clone)]
pub(crate) struct Tunnels(mpsc::Sender<BoxedTunnel>);

type BoxedTunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the tunnels, and closes them when the process stops.
pub(crate) struct TunnelRunner(mpsc::Receiver<BoxedTunnel>);

pub(crate) fn tunnels() -> (Tunnels, TunnelRunner) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Tunnels(sender), TunnelRunner(receiver))
}

/// The protocol that a client asks to switch to, if it is one that is passed on.
pub(crate) fn requested<B>(request: &Request<B>) -> Option<HeaderValue> {
    let is_possible = *request.method() == Method::GET && request.version() == Version::HTTP_11;
    (is_possible && names_websocket(request.headers())).then_some(WEBSOCKET)
}

/// Whether the upstream has switched to the protocol that was asked for.
pub(crate) fn names_websocket(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

impl Tunnels {
    /// Connects two sides that are about to switch, until the credentials of the client expire. `owned` is dropped when the tunnel
    /// ends. Fails if too many are starting.
    pub(crate) fn start(
        &self,
        client: OnUpgrade,
        upstream: OnUpgrade,
        idle_timeout: Duration,
        expires: Option<Instant>,
        owned: impl Send + 'static,
    ) -> Result<(), BoxError> {
        let tunnel = async move {
            let _owned = owned;
            let ended = tokio::select! {
                ended = run(client, upstream, idle_timeout) => ended,
                () = expired(expires) => Err("the credentials of the client have expired".into()),
            };
            if let Err(error) = ended {
                tracing::debug!(error = &*error, "tunnel ended");
            }
        };
        self.0.try_send(Box::pin(tunnel)).map_err(|_| "too many tunnels are starting".into())
    }
}

async fn run(client: OnUpgrade, upstream: OnUpgrade, idle_timeout: Duration) -> Result<(), BoxError> {
    let switched = timeout(SWITCH_TIMEOUT, futures_util::future::try_join(client, upstream)).await;
    let (client, upstream) = switched??;
    let activity = Activity::new();
    let mut client = Watched { stream: TokioIo::new(client), activity: &activity };
    let mut upstream = TokioIo::new(upstream);
    tokio::select! {
        copied = copy_bidirectional(&mut client, &mut upstream) => copied.map(drop).map_err(Into::into),
        () = idle(&activity, idle_timeout) => Err("both sides were silent".into()),
    }
}

async fn idle(activity: &Activity, idle_timeout: Duration) {
    let mut until = activity.last() + idle_timeout;
    loop {
        sleep_until(until).await;
        let next = activity.last() + idle_timeout;
        if next <= until {
            return;
        }
        until = next;
    }
}

/// A stream that records when something was read or written.
struct Watched<'a, S> {
    stream: S,
    activity: &'a Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.activity.advance();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.activity.advance();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Component for TunnelRunner {
    fn name(&self) -> &'static str {
        "tunnels"
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(tunnel) = self.0.recv() => drop(running.spawn(tunnel)),
                Some(_) = running.join_next() => {}
            }
        }
        running.shutdown().await;
        Ok(())
    }
}
