//! Upstreams that fail: what is sent again, what is not, and when requests are refused at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kennel_testkit::certificates::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Echo, Gateway, get_with, routes, send};

/// A server that closes every connection after it has read something.
struct Broken {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Broken {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&requests);
        let server = async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if matches!(stream.read(&mut [0; 4_096]).await, Ok(1..)) {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        Self { address, requests, _server: JoinSet::from_iter([server]) }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

const POST: &[u8] = b"POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn only_what_is_safe_is_sent_again() {
    let (broken, echo) = (Broken::start().await, Echo::start().await);
    let two = format!("urls = [\"http://{}\", \"http://{}\"]", broken.address, echo.address);
    let text = routes(echo.address, "").replace(&format!("urls = [\"http://{}\"]", echo.address), &two);
    let gateway = Gateway::start(&text, &[]).await;
    for _ in 0..6 {
        assert_eq!(get_with(gateway.http, "/a", "").await.status, 200, "the next address answers");
    }
    // The next request takes the next turn: after two attempts, the broken address is first again.
    assert_eq!(broken.requests(), 6);
    gateway.metric(r#"gateway_retries_total{upstream="echo"} 6"#).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(send(gateway.http, POST).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502], "a POST is sent once");
    assert_eq!(broken.requests(), 8);
}

#[tokio::test]
async fn an_open_circuit_refuses_at_once_and_closes_again() {
    let echo = Echo::start().await;
    let text = routes(echo.address, "").replace("breaker_failures = 0", "breaker_failures = 3\nbreaker_pause = \"3s\"");
    let gateway = Gateway::start(&text, &[]).await;
    for _ in 0..3 {
        assert_eq!(get_with(gateway.http, "/status?code=503", "").await.status, 503);
    }
    let refused = get_with(gateway.http, "/a", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    let pause: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&pause), "{pause}");
    gateway.metric(r#"gateway_circuit_open{upstream="echo"} 1"#).await;
    while get_with(gateway.http, "/a", "").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    gateway.metric(r#"gateway_circuit_open{upstream="echo"} 0"#).await;
}

#[tokio::test]
async fn failures_are_problems_that_say_nothing_about_their_cause() {
    let (broken, echo) = (Broken::start().await, Echo::start().await);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (address, request, status, code) in [
        (free, POST, 503, "unavailable"),
        (broken.address, POST, 502, "bad_upstream"),
        (echo.address, &b"GET /status?ms=60000&code=200 HTTP/1.1\r\nhost: g\r\n\r\n"[..], 504, "timeout"),
        (
            echo.address,
            &b"POST /status?ms=60000&code=200 HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\n\r\nhello"[..],
            504,
            "timeout",
        ),
    ] {
        let gateway = Gateway::start(&routes(address, "timeout = \"300ms\""), &[]).await;
        let answer = send(gateway.http, request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert!(answer.json().get("detail").is_none() && !answer.body.contains("127.0.0.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_at_fault() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(&routes(echo.address, "idle_timeout = \"200ms\""), &[]).await;
    let answer = send(gateway.http, b"POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\nhello").await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "client_timeout"));
}

#[tokio::test]
async fn clients_do_not_open_the_circuit() {
    let echo = Echo::start().await;
    let text = routes(echo.address, "timeout = \"200ms\"\nidle_timeout = \"400ms\"");
    let text = text.replace("breaker_failures = 0", "breaker_failures = 3\nbreaker_pause = \"1h\"");
    let gateway = Gateway::start(&text, &[]).await;
    let stalled = (0..4).map(|_| send(gateway.http, b"POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\nhello"));
    for answer in futures_util::future::join_all(stalled).await {
        assert_eq!((answer.status, answer.code().as_str()), (408, "client_timeout"));
    }
    for _ in 0..4 {
        let mut aborted = TcpStream::connect(gateway.http).await.unwrap();
        aborted.write_all(b"POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
        gateway.metric("http_requests_in_flight 1").await;
        drop(aborted);
        gateway.metric("http_requests_in_flight 0").await;
    }
    // Callers with too little time.
    let hurried = "content-type: application/grpc\r\ngrpc-timeout: 50m\r\n";
    for _ in 0..4 {
        let late = get_with(gateway.http, "/status?ms=60000&code=200", hurried).await;
        assert_eq!((late.status, late.header("grpc-status")), (200, Some("4")));
    }
    assert_ne!(get_with(gateway.http, "/a", "").await.status, 503, "the circuit is open");
}

#[tokio::test]
async fn more_requests_than_an_upstream_may_have_are_refused() {
    let echo = Echo::start().await;
    let text = routes(echo.address, "").replace("breaker_failures = 0", "breaker_failures = 0\nmax_in_flight = 1");
    let gateway = Gateway::start(&text, &[]).await;
    let requests = (0..5).map(|_| get_with(gateway.http, "/status?ms=1000&code=200", ""));
    let mut statuses: Vec<_> =
        futures_util::future::join_all(requests).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses.contains(&503), "{statuses:?}");
}

#[tokio::test]
async fn upstreams_with_tls_are_verified() {
    let (known, unknown) = (Authority::new(), Authority::new());
    known.install(&known.issue(2090));
    let echo = Echo::start().await;
    // A gateway with TLS is the upstream of another one.
    let (cert, key) = (known.certificate_file(), known.key_file());
    let env = [("TLS_CERT", cert.to_str().unwrap()), ("TLS_KEY", key.to_str().unwrap())];
    let inner = Gateway::start(&routes(echo.address, ""), &env).await;
    for (authority, status) in [(&known, 200), (&unknown, 503)] {
        let https =
            format!("urls = [\"https://localhost:{}\"]\nca = \"{}\"", inner.http.port(), authority.ca_file().display());
        let text = routes(echo.address, "").replace(&format!("urls = [\"http://{}\"]", echo.address), &https);
        let outer = Gateway::start(&text, &[]).await;
        let answer = get_with(outer.http, "/a", "").await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 200 {
            assert_eq!(answer.got("x-forwarded-proto"), ["https"]);
        }
    }
    // Not HTTP at all.
    let mut stream = TcpStream::connect(inner.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: g\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
