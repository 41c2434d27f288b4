//! Requests of every kind against scripted upstreams: bodies in both directions, retries, redirects, secrets and failures.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get, post};
use futures_util::{StreamExt as _, stream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kennel_client::{Client, ClientConfig, ClientError, ClientMetrics, Refusal};
use kennel_core::{BoxError, ErrorKind};
use kennel_testkit::spans;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tracing_subscriber::fmt::format::FmtSpan;
use url::Url;

use crate::support::Server;

const KEY: &str = "k-hunter2/+";

fn config() -> ClientConfig {
    ClientConfig {
        allowed_addresses: vec!["127.0.0.1".parse().unwrap()],
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    }
}

fn client(config: &ClientConfig) -> Client {
    Client::new("test", config, &ClientMetrics::register(&Registry::new()).unwrap()).unwrap()
}

fn url(server: &Server, path: &str) -> Url {
    server.url(path).parse().unwrap()
}

type Chunks = mpsc::Sender<Result<Bytes, BoxError>>;

/// A body whose chunks the test sends.
fn chunks() -> (Chunks, ReceiverStream<Result<Bytes, BoxError>>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ReceiverStream::new(receiver))
}

/// A server that answers every connection with `response` after a request of any size, and counts the requests.
async fn scripted(response: &'static [u8]) -> (Url, Arc<AtomicU32>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let (counter, mut running) = (Arc::clone(&count), JoinSet::new());
    running.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4_096];
            if stream.read(&mut head).await.unwrap_or(0) == 0 {
                continue;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            stream.write_all(response).await.ok();
        }
    });
    (url, count, running)
}

#[tokio::test]
async fn method_headers_and_body_arrive() {
    let echo = async |method: Method, headers: HeaderMap, body: String| {
        let header = headers["x-one"].to_str().unwrap().to_owned();
        (StatusCode::CREATED, [("x-two", "2")], format!("{method} {header} {body}"))
    };
    let server = Server::start(Router::new().route("/", any(echo))).await;
    let client = client(&config());
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let request = client.request(method.clone(), &url(&server, "/")).body("body");
        let one = (HeaderName::from_static("x-one"), HeaderValue::from_static("1"));
        let response = request.header(one.0, one.1).fetch().await.unwrap();
        assert_eq!((response.status(), response.headers()["x-two"].as_bytes()), (StatusCode::CREATED, &b"2"[..]));
        assert_eq!(response.body(), &format!("{method} 1 body"));
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let echo = async |body: Body| Response::new(body);
    let server = Server::start(Router::new().route("/", post(echo))).await;
    let (sender, body) = chunks();
    sender.send(Ok("one".into())).await.unwrap();
    let mut response = client(&config()).request(Method::POST, &url(&server, "/")).stream(body).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one", "before the request is complete");
    sender.send(Ok("two".into())).await.unwrap();
    drop(sender);
    let rest: Vec<_> = response.into_stream().collect().await;
    assert_eq!(rest.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(), b"two");
    server.stop().await;
}

#[tokio::test]
async fn only_idempotent_requests_are_retried() {
    let (here, calls, _upstream) = scripted(b"HTTP/1.1 503 x\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(&ClientConfig { breaker_failures: 0, ..config() });
    let calls = || calls.swap(0, Ordering::SeqCst);
    for (method, expected) in
        [(Method::GET, 3), (Method::PUT, 3), (Method::DELETE, 3), (Method::POST, 1), (Method::PATCH, 1)]
    {
        let error = client.request(method.clone(), &here).body("body").send().await.unwrap_err();
        assert!(matches!(error, ClientError::Status { status, .. } if status == 503), "{error:?}");
        assert_eq!(calls(), expected, "{method}");
    }
    client.request(Method::POST, &here).body("body").retry().send().await.unwrap_err();
    assert_eq!(calls(), 3, "the caller allows it");
}

#[tokio::test]
async fn a_streamed_body_is_not_sent_again_once_it_has_begun() {
    let (here, calls, _upstream) = scripted(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(&config());
    let body = stream::iter([Ok(Bytes::from_static(b"begun"))]);
    let error = client.request(Method::PUT, &here).stream(body).retry().send().await.unwrap_err();
    assert_eq!((error.kind(), calls.load(Ordering::SeqCst)), (ErrorKind::Unavailable, 1), "{error:?}");

    // Before that it is still there: the upstream starts to listen only after the first attempt.
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let pause = Duration::from_millis(200);
    let late = ClientConfig { backoff: pause, max_backoff: pause, max_retries: 5, ..config() };
    let late = Client::new("late", &late, &ClientMetrics::register(&Registry::new()).unwrap()).unwrap();
    let there = format!("http://{unused}/").parse().unwrap();
    let sent = late.request(Method::PUT, &there).stream(stream::iter([Ok(Bytes::from_static(b"whole"))])).fetch();
    let served = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        serve_once(unused).await
    };
    let (response, body) = tokio::join!(sent, tokio::time::timeout(Duration::from_secs(10), served));
    assert_eq!((response.unwrap().status(), body.unwrap().as_str()), (StatusCode::OK, "whole"));
}

/// Answers one request at `address` and returns its body.
async fn serve_once(address: SocketAddr) -> String {
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = String::new();
    while !request.ends_with("0\r\n\r\n") {
        let mut chunk = [0; 1_024];
        let read = stream.read(&mut chunk).await.unwrap();
        request += std::str::from_utf8(&chunk[..read]).unwrap();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    body.lines().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn an_error_of_the_callers_stream_is_not_the_upstreams() {
    let server = Server::start(Router::new().route("/", post(async |body: Bytes| body))).await;
    let client = client(&ClientConfig { breaker_failures: 1, ..config() });
    let broken = stream::iter([Ok(Bytes::from_static(b"one")), Err(BoxError::from("disk on fire"))]);
    let error = client.request(Method::POST, &url(&server, "/")).stream(broken).send().await.unwrap_err();
    assert!(matches!(error, ClientError::RequestBody(_)), "{error:?}");
    assert!(format!("{error:?}").contains("disk on fire"), "{error:?}");
    let ok = client.request(Method::POST, &url(&server, "/")).body("ok").fetch().await.unwrap();
    assert_eq!(ok.body(), "ok", "the circuit is closed");
    server.stop().await;
}

#[tokio::test]
async fn accepted_statuses_are_responses() {
    let status = async |path: axum::extract::Path<u16>| (StatusCode::from_u16(path.0).unwrap(), [(LOCATION, "/200")]);
    let server = Server::start(Router::new().route("/{status}", get(status))).await;
    let client = client(&config());
    let get = |path: &str| client.get(&url(&server, path));
    for path in ["/200", "/201", "/206"] {
        assert!(get(path).send().await.is_ok(), "{path}");
    }
    let error = get("/404").send().await.unwrap_err();
    assert!(matches!(error, ClientError::Status { status, .. } if status == 404), "{error:?}");
    for path in ["/404", "/304", "/500"] {
        let accepted = StatusCode::from_u16(path[1..].parse().unwrap()).unwrap();
        assert_eq!(get(path).accept(accepted).send().await.unwrap().status(), accepted);
    }
    assert!(get("/200").accept(StatusCode::NOT_MODIFIED).send().await.is_err(), "only the named ones");
    assert_eq!(get("/302").send().await.unwrap().status(), StatusCode::OK, "followed");
    assert_eq!(get("/302").accept(StatusCode::FOUND).send().await.unwrap().headers()[LOCATION], "/200");
    assert!(client.download(&url(&server, "/206"), 10).await.is_err(), "an incomplete download");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_body_ends_at_the_timeout_of_the_request() {
    let stalls = async || {
        let first = stream::iter([Ok::<_, BoxError>(Bytes::from_static(b"one"))]);
        Response::new(Body::from_stream(first.chain(stream::pending())))
    };
    let server = Server::start(Router::new().route("/", get(stalls))).await;
    let client = client(&ClientConfig { max_retries: 0, ..config() });
    let mut response = client.get(&url(&server, "/")).timeout(Duration::from_millis(100)).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    let error = response.chunk().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout), "{error:?}");
    // A longer one than the configured timeouts counts, too.
    let short = ClientConfig { timeout: Duration::from_millis(1), deadline: Duration::from_millis(1), ..config() };
    let short = Client::new("short", &short, &ClientMetrics::register(&Registry::new()).unwrap()).unwrap();
    let mut response = short.get(&url(&server, "/")).timeout(Duration::from_secs(10)).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error_and_counts_as_a_failure() {
    for response in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
    ] {
        let (here, calls, _upstream) = scripted(response).await;
        let client = client(&ClientConfig { breaker_failures: 2, ..config() });
        let mut response = client.get(&here).send().await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "short");
        let error = response.chunk().await.unwrap_err();
        assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
        let open = client.get(&here).fetch().await.unwrap_err();
        assert_eq!(calls.load(Ordering::SeqCst), 2, "the second failure opens the circuit: {open:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_early() {
    let endless = async || Response::new(Body::from_stream(stream::repeat_with(|| Ok::<_, BoxError>(vec![0; 1_000]))));
    let server = Server::start(Router::new().route("/", get(endless))).await;
    let client = client(&ClientConfig { max_bytes: 1_500, ..config() });
    for (request, limit) in
        [(client.get(&url(&server, "/")), 1_500), (client.get(&url(&server, "/")).max_bytes(5_000), 5_000)]
    {
        let error = request.fetch().await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { limit: found } if found == limit), "{error:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_exhausted_quota_is_retried_when_the_upstream_says() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let limited = move || {
        let call = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
                1 => "ok".into_response(),
                _ => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response(),
            }
        }
    };
    let server = Server::start(Router::new().route("/", get(limited))).await;
    let (client, started) = (client(&config()), std::time::Instant::now());
    assert_eq!(client.get(&url(&server, "/")).fetch().await.unwrap().body(), "ok");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    let error = client.get(&url(&server, "/")).fetch().await.unwrap_err();
    assert!(matches!(error, ClientError::Status { status: StatusCode::TOO_MANY_REQUESTS, .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_hours(1)), "later than the deadline");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    server.stop().await;
}

#[tokio::test]
async fn redirects_change_the_method_as_specified() {
    let echo = async |method: Method, headers: HeaderMap, body: String| {
        format!("{method} {:?} {body}", headers.get(CONTENT_TYPE).is_some())
    };
    let to = |status: u16| async move || (StatusCode::from_u16(status).unwrap(), [(LOCATION, "/echo")]);
    let mut router = Router::new().route("/echo", any(echo));
    for status in [301, 302, 303, 307, 308] {
        router = router.route(&format!("/{status}"), any(to(status)));
    }
    let server = Server::start(router).await;
    let client = client(&config());
    for (status, method, expected) in [
        (301, Method::POST, "GET false "),
        (302, Method::POST, "GET false "),
        (302, Method::PUT, "PUT true body"),
        (303, Method::POST, "GET false "),
        (303, Method::DELETE, "GET false "),
        (307, Method::POST, "POST true body"),
        (308, Method::PUT, "PUT true body"),
    ] {
        let request = client.request(method.clone(), &url(&server, &format!("/{status}"))).body("body");
        let response = request.header(CONTENT_TYPE, HeaderValue::from_static("text/plain")).fetch().await.unwrap();
        assert_eq!(response.body(), expected, "{status} {method}");
    }
    let body = stream::iter([Ok(Bytes::from_static(b"body"))]);
    let error = client.request(Method::POST, &url(&server, "/307")).stream(body).send().await.unwrap_err();
    assert!(matches!(error, ClientError::Status { status, .. } if status == 307), "it cannot be sent again: {error:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused_for_every_method() {
    let away = async || Redirect::temporary("http://169.254.169.254/latest/meta-data");
    let server = Server::start(Router::new().route("/", any(away))).await;
    let client = client(&config());
    for method in [Method::GET, Method::POST, Method::PUT] {
        let error = client.request(method, &url(&server, "/")).body("body").send().await.unwrap_err();
        assert!(matches!(error, ClientError::Refused(Refusal::Private)), "{error:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn secrets_do_not_leave_their_origin() {
    let seen = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
    let record = |seen: &Arc<Mutex<Vec<HeaderMap>>>| {
        let seen = Arc::clone(seen);
        async move |headers: HeaderMap| {
            seen.lock().unwrap().push(headers);
            "ok"
        }
    };
    let other = Server::start(Router::new().route("/", get(record(&seen)))).await;
    let target = other.url("/");
    let away = async move || Redirect::temporary(&target);
    let near = async || Redirect::temporary("/near");
    let router = Router::new().route("/away", get(away)).route("/", get(near)).route("/near", get(record(&seen)));
    let server = Server::start(router).await;
    let client = client(&config());
    for path in ["/away?api_key=hunter2", "/?api_key=hunter2"] {
        let mut secret = HeaderValue::from_static("hunter2");
        secret.set_sensitive(true);
        let request = client.get(&url(&server, path)).header(HeaderName::from_static("x-api-key"), secret);
        let request = request.header(AUTHORIZATION, HeaderValue::from_static("Bearer hunter2"));
        request.header(HeaderName::from_static("x-plain"), HeaderValue::from_static("1")).fetch().await.unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    let [away, near] = &seen[..] else { panic!("{seen:?}") };
    assert!(!format!("{away:?}").contains("hunter2"), "nor as a referer: {away:?}");
    assert_eq!(away["x-plain"], "1");
    assert!(near.contains_key(AUTHORIZATION) && near.contains_key("x-api-key") && !near.contains_key("referer"));
    other.stop().await;
    server.stop().await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_in_urls_are_in_no_error_span_or_log() {
    let log = Log::default();
    let out = log.clone();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_span_events(FmtSpan::FULL);
    let subscribed = spans::subscribe(lines.with_ansi(false).with_writer(move || out.clone()).finish());
    let failing = async || StatusCode::SERVICE_UNAVAILABLE;
    let server = Server::start(Router::new().route("/{*path}", get(failing))).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client(&ClientConfig { secrets: vec![KEY.into()], breaker_failures: 0, ..config() });
    let mut addresses = Vec::new();
    for base in [server.url("/"), format!("http://{unused}/")] {
        let mut in_path: Url = base.parse().unwrap();
        in_path.path_segments_mut().unwrap().clear().extend(["api", KEY, "search"]);
        let mut in_query: Url = format!("{base}search").parse().unwrap();
        in_query.query_pairs_mut().append_pair("api_key", KEY).append_pair("q", "cat");
        addresses.extend([in_path, in_query]);
    }
    for address in &addresses {
        let error = client.get(address).fetch().await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        assert!(!format!("{:?}", client.get(address)).contains("hunter2"));
    }
    drop(subscribed);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The server of the test logs what it receives; the client has nothing to do with that.
    let ours: Vec<_> = log.lines().filter(|line| line.contains("upstream{")).collect();
    assert!(ours.iter().any(|line| line.contains("/api/***/search")), "{log}");
    assert!(ours.iter().any(|line| line.contains("/search?api_key=***&q=***")), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn the_trace_is_only_sent_if_configured() {
    support::enable_tracing();
    let traced = async |headers: HeaderMap| headers.contains_key("traceparent").to_string();
    let server = Server::start(Router::new().route("/", get(traced))).await;
    for propagate_trace in [true, false] {
        let client = client(&ClientConfig { propagate_trace, ..config() });
        let response = client.get(&url(&server, "/")).fetch().await.unwrap();
        assert_eq!(response.body(), &propagate_trace.to_string());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_streamed_response_is_counted_at_its_end() {
    let registry = Registry::new();
    let server = Server::start(Router::new().route("/", get(async || "body"))).await;
    let client = Client::new("test", &config(), &ClientMetrics::register(&registry).unwrap()).unwrap();
    let count = |number| {
        let line = format!(r#"upstream_request_duration_seconds_count{{outcome="ok",upstream="test"}} {number}"#);
        kennel_telemetry::metrics::encode(&registry).contains(&line)
    };
    let mut response = client.get(&url(&server, "/")).send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], "4");
    assert!(!count(1));
    while response.chunk().await.unwrap().is_some() {}
    assert!(count(1));
    drop(client.get(&url(&server, "/")).send().await.unwrap());
    assert!(count(1), "a caller that stops reading is no result of the upstream");
    server.stop().await;
}
