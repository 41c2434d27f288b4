//! A fake dog API on loopback: implements the contract of dog.ceo with real images, and can misbehave on demand.
//!
//! `GET /api/breeds/list/all`, `/api/breed/{breed}/images/random`, `/api/breed/{breed}/{sub}/images/random`; the
//! images are under `/images/` of the same server. One request is served per connection.

mod breeds;
pub mod images;
mod response;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use response::FakeResponse;

/// Maximum size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Length of the queue of connections that are not accepted yet.
const BACKLOG: u32 = 1024;

/// How the server behaves, from the next request on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Correctly.
    #[default]
    Normal,
    /// Delays every response.
    Slow(Duration),
    /// Returns this status for every request, with `Retry-After` in seconds if given.
    Status(u16, Option<u64>),
    /// Closes every connection without a response.
    CloseConnection,
    /// The API returns HTML.
    NotJson,
    /// The API returns JSON with another structure.
    UnexpectedJson,
    /// The API returns this URL as that of an image.
    ImageUrl(String),
    /// An image has a valid start and never ends.
    EndlessImage,
    /// An image is shorter than its `Content-Length`.
    WrongContentLength,
    /// An image is truncated to its first half, with the `Content-Length` of the half.
    TruncatedImage,
    /// A file with the extension `.jpg` and the type `image/jpeg` contains a script.
    NotAnImage,
    /// An image redirects to this URL.
    RedirectTo(String),
    /// An image redirects to itself.
    RedirectLoop,
}

/// Routes of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The list of breeds.
    Breeds,
    /// A random image of a breed or a sub-breed.
    Random,
    /// An image file.
    Image,
    /// Any other path.
    Other,
}

/// The server. It stops when the value is dropped.
pub struct Upstream {
    address: SocketAddr,
    /// Reserves the port while the server is down.
    _reservation: TcpSocket,
    state: Arc<UpstreamState>,
    serving: tokio::sync::Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct UpstreamState {
    behaviour: Mutex<Behaviour>,
    images: AtomicU64,
    requests: [AtomicU64; 4],
}

impl Upstream {
    /// Serves on a free port of the loopback address.
    pub async fn new() -> Self {
        let reservation = bound((Ipv4Addr::LOCALHOST, 0).into());
        let address = reservation.local_addr().expect("a bound socket has an address");
        let (state, serving) = (Arc::default(), tokio::sync::Mutex::default());
        let upstream = Self { address, _reservation: reservation, state, serving };
        upstream.start().await;
        upstream
    }

    /// Base URL of the API, for `DOG_API_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Address of the server.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the behaviour.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Number of requests for `route`, with or without a response.
    pub fn requests(&self, route: Route) -> u64 {
        self.state.requests[route as usize].load(Ordering::SeqCst)
    }

    /// Stops the server: open connections break and new ones are refused. Returns once the port is closed.
    pub async fn stop(&self) {
        self.serving.lock().await.shutdown().await;
    }

    /// Starts the server on the same port. Does nothing if it is up.
    pub async fn start(&self) {
        let mut serving = self.serving.lock().await;
        if serving.is_empty() {
            let listener = bound(self.address).listen(BACKLOG).expect("nobody else listens on the port");
            serving.spawn(accept(listener, self.address, Arc::clone(&self.state)));
        }
    }
}

/// A socket at an address that several such sockets can share until one of them listens.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be created");
    socket.set_reuseaddr(true).expect("a new socket accepts options");
    socket.bind(address).expect("the address is free");
    socket
}

async fn accept(listener: TcpListener, address: SocketAddr, state: Arc<UpstreamState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    // A client may disconnect at any time.
                    serve(stream, address, &state).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, address: SocketAddr, state: &UpstreamState) -> std::io::Result<()> {
    let Some((method, path)) = read_head(&mut stream).await? else { return Ok(()) };
    let behaviour = state.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let route = response::route(&path);
    state.requests[route as usize].fetch_add(1, Ordering::SeqCst);
    if let Behaviour::Slow(delay) = behaviour {
        tokio::time::sleep(delay).await;
    }
    if method != "GET" {
        return FakeResponse::status(405).write(&mut stream).await;
    }
    let number = || state.images.fetch_add(1, Ordering::SeqCst);
    response::response(&behaviour, route, &path, address, number).write(&mut stream).await?;
    stream.shutdown().await
}

/// Reads the method and the path of a request; `None` if the client disconnects or the head is too large.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    Ok(Some((method.to_owned(), path.to_owned())))
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
