//! The gateway as a process, an upstream, and raw requests.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Time for what a loaded machine does at some point.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) http: SocketAddr,
    pub(crate) sys: SocketAddr,
    process: ServiceProcess,
    _folder: TempDir,
}

impl Gateway {
    /// Starts the program with a routes file.
    pub(crate) async fn start(routes: &str, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.toml"), routes).unwrap();
        let mut variables = vec![
            ("SERVER_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
            ("GATEWAY_ROUTES", "routes.toml"),
            ("LOG_FORMAT", "json"),
            ("SHUTDOWN_DEADLINE", "20s"),
        ];
        variables.extend(env);
        let binary = Path::new(env!("CARGO_BIN_EXE_api-gateway"));
        let launch = Launch { binary, args: &["serve"], env: &variables, directory: folder.path() };
        let mut process = ServiceProcess::start(&launch);
        let (http, sys) = (process.listener("http").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        Self { http, sys, process, _folder: folder }
    }

    /// Stops it gracefully.
    pub(crate) async fn stop(mut self) {
        self.process.terminate();
        let status = self.process.wait(LIMIT).await;
        assert!(status.success(), "{}", self.process.output());
    }

    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(probe::get(self.sys, "/metrics").await.unwrap().body).unwrap()
    }

    /// Waits until the metrics contain `line`.
    pub(crate) async fn metric(&self, line: &str) {
        let waited = timeout(LIMIT, async {
            while !self.metrics().await.contains(line) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{line} is not in {}", self.metrics().await);
    }
}

/// Tables of a routes file: an upstream `echo` at this address, and a public route to it at `/*` with further lines.
pub(crate) fn routes(upstream: SocketAddr, lines: &str) -> String {
    format!(
        "[upstreams.echo]\nurls = [\"http://{upstream}\"]\nbreaker_failures = 0\n\
         [[routes]]\nname = \"echo\"\npath = \"/*\"\nupstream = \"echo\"\npublic = true\n{lines}\n"
    )
}

/// A server that answers what it got.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    state: EchoState,
    _server: JoinSet<()>,
}

#[derive(Clone, Default)]
struct EchoState {
    counted: Arc<AtomicUsize>,
    released: Arc<Notify>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), EchoState::default());
        let router = Router::new()
            .route("/sse", get(sse))
            .route("/ws", get(websocket))
            .route("/counted", get(counted))
            .route("/status", any(status))
            .fallback(echo)
            .with_state(state.clone());
        let server = async move { axum::serve(listener, router).await.unwrap() };
        Self { address, state, _server: JoinSet::from_iter([server]) }
    }

    /// Lets the requests of `/counted?hold=true` go on.
    pub(crate) fn release(&self) {
        self.state.released.notify_waiters();
    }

    /// How many requests `/counted` got.
    pub(crate) fn counted(&self) -> usize {
        self.state.counted.load(Ordering::SeqCst)
    }
}

async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_or(-1, |body| i64::try_from(body.len()).unwrap());
    let answer =
        json!({ "method": parts.method.as_str(), "target": parts.uri.to_string(), "headers": headers, "body": body });
    let hop_by_hop =
        [("keep-alive", "timeout=5"), ("connection", "x-upstream-hop"), ("x-upstream-hop", "1"), ("x-kept", "1")];
    (hop_by_hop, Json(answer)).into_response()
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    hold: bool,
}

/// Counts requests.
async fn counted(State(state): State<EchoState>, Query(parameters): Query<Parameters>) -> String {
    let released = state.released.notified();
    let number = state.counted.fetch_add(1, Ordering::SeqCst) + 1;
    if parameters.hold {
        released.await;
    }
    number.to_string()
}

async fn status(Query(parameters): Query<Parameters>) -> StatusCode {
    sleep(Duration::from_millis(parameters.ms)).await;
    StatusCode::from_u16(parameters.code).unwrap()
}

/// Numbers as events, from the one after the last that the client has.
async fn sse(headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").map_or(0, |id| id.to_str().unwrap().parse::<u64>().unwrap());
    let events = stream::unfold(last, |last| async move {
        sleep(Duration::from_millis(2)).await;
        let next = last + 1;
        Some((Ok::<_, std::convert::Infallible>(Event::default().id(next.to_string()).data(next.to_string())), next))
    });
    Sse::new(events).into_response()
}

/// Switches protocols, and sends back every byte in upper case.
async fn websocket(mut request: Request) -> Response {
    let switching = hyper::upgrade::on(&mut request);
    #[expect(clippy::disallowed_methods, reason = "it ends with its connection, at the latest with the test")]
    tokio::spawn(async move {
        let mut stream = TokioIo::new(switching.await.unwrap());
        let mut chunk = [0; 1_024];
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            chunk[..length].make_ascii_uppercase();
            if stream.write_all(&chunk[..length]).await.is_err() {
                return;
            }
        }
    });
    let headers = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "x")];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn new(head: String, body: String) -> Self {
        Self { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
    }

    /// The value of a header; `None` if it is absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(Some(body["request_id"].as_str().unwrap()), self.header("x-request-id"), "{self:?}");
        body["code"].as_str().unwrap().to_owned()
    }

    /// The values of a header that the upstream got.
    pub(crate) fn got(&self, name: &str) -> Vec<String> {
        let headers = self.json()["headers"].as_array().unwrap().clone();
        let of_name = headers.iter().filter(|header| header[0] == name);
        of_name.map(|header| header[1].as_str().unwrap().to_owned()).collect()
    }
}

/// Sends these bytes over a new connection, and reads one response.
pub(crate) async fn send(server: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request).await.unwrap();
    if request.starts_with(b"HEAD ") {
        let head = timeout(LIMIT, read_head(&mut stream)).await.unwrap();
        return Answer::new(head, String::new());
    }
    timeout(LIMIT, read(&mut stream)).await.unwrap()
}

/// A GET request with further header lines, each with its end.
pub(crate) async fn get_with(server: SocketAddr, target: &str, headers: &str) -> Answer {
    send(server, format!("GET {target} HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n").as_bytes()).await
}

/// Reads a response with `content-length`, or one that ends with the connection.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let head = read_head(stream).await;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).await.unwrap();
        }
        None => drop(stream.read_to_end(&mut body).await),
    }
    Answer::new(head, String::from_utf8(body).unwrap())
}

pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).unwrap()
}
