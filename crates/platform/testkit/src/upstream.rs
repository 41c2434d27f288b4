//! A dog API on loopback: speaks the contract of dog.ceo with real pictures, and can be told to misbehave.
//!
//! `GET /api/breeds/list/all`, `/api/breed/{breed}/images/random`, `/api/breed/{breed}/{sub}/images/random`; the
//! pictures are under `/images/` of the same server. One request is served per connection.

mod answer;
mod breeds;
pub mod pictures;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use answer::Answer;

/// The longest head of a request that is read, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How the server behaves, from the next request on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// As it should.
    #[default]
    Normal,
    /// Answers everything this much later.
    Slow(Duration),
    /// Answers everything with this status, and how many seconds to wait where given.
    Status(u16, Option<u64>),
    /// Closes every connection without an answer.
    CloseConnection,
    /// The API answers with a page of HTML.
    NotJson,
    /// The API answers with JSON of another shape.
    WrongShape,
    /// The API names this picture, whatever it is.
    PictureUrl(String),
    /// A picture begins well and never ends.
    HugePicture,
    /// A picture ends before the length that was announced.
    LyingLength,
    /// A picture is cut in half; the length announced is that of the half.
    TruncatedPicture,
    /// A picture called `.jpg`, of type `image/jpeg`, is a script.
    NotAPicture,
    /// A picture is elsewhere.
    RedirectTo(String),
    /// A picture is where it is.
    RedirectLoop,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The list of breeds.
    Breeds,
    /// A random picture of a breed or a sub-breed.
    Random,
    /// The file of a picture.
    Picture,
    /// Anything else.
    Other,
}

/// The server. It goes away with the value.
pub struct Upstream {
    address: SocketAddr,
    /// Keeps the port from others while nobody listens on it.
    _place: TcpSocket,
    shared: Arc<Shared>,
    serving: tokio::sync::Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    pictures: AtomicU64,
    requests: [AtomicU64; 4],
}

impl Upstream {
    /// Serves on a free port of the loopback address.
    pub async fn new() -> Self {
        let place = bound((Ipv4Addr::LOCALHOST, 0).into());
        let address = place.local_addr().expect("a bound socket has an address");
        let (shared, serving) = (Arc::default(), tokio::sync::Mutex::default());
        let upstream = Self { address, _place: place, shared, serving };
        upstream.start().await;
        upstream
    }

    /// The base of the API, for `DOG_API_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// How many requests it has had for `route`, answered or not.
    pub fn requests(&self, route: Route) -> u64 {
        self.shared.requests[route as usize].load(Ordering::SeqCst)
    }

    /// Goes down: connections break and new ones are refused. Returns once the port is closed.
    pub async fn stop(&self) {
        self.serving.lock().await.shutdown().await;
    }

    /// Comes back on the same port; nothing happens when it is up.
    pub async fn start(&self) {
        let mut serving = self.serving.lock().await;
        if serving.is_empty() {
            let listener = bound(self.address).listen(BACKLOG).expect("nobody else listens on the port");
            serving.spawn(accept(listener, self.address, Arc::clone(&self.shared)));
        }
    }
}

/// A socket at an address that others of this kind may share until one of them listens.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_reuseaddr(true).expect("a new socket takes options");
    socket.bind(address).expect("the address is free");
    socket
}

async fn accept(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // A client that goes away is its own affair.
                    serve(stream, address, &shared).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, address: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let Some((method, path)) = read_head(&mut stream).await? else { return Ok(()) };
    let behaviour = shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let route = answer::route(&path);
    shared.requests[route as usize].fetch_add(1, Ordering::SeqCst);
    if let Behaviour::Slow(delay) = behaviour {
        tokio::time::sleep(delay).await;
    }
    if method != "GET" {
        return Answer::status(405).write(&mut stream).await;
    }
    let number = || shared.pictures.fetch_add(1, Ordering::SeqCst);
    answer::answer(&behaviour, route, &path, address, number).write(&mut stream).await?;
    stream.shutdown().await
}

/// The method and the path of a request; `None` when the client leaves or sends something else.
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
