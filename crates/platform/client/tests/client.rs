//! The client against real sockets: timeouts, size limits, retries, redirects and the circuit breaker.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use kennel_client::{Client, ClientConfig, ClientError, ClientMetrics, Refusal};
use kennel_core::ErrorKind;
use kennel_telemetry::propagation;
use prometheus::Registry;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing::Instrument as _;
use url::Url;

use crate::support::Server;

fn config() -> ClientConfig {
    ClientConfig {
        allowed_addresses: vec!["127.0.0.1".parse().unwrap()],
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    }
}

fn client(config: &ClientConfig) -> Client {
    let metrics = ClientMetrics::register(&Registry::new()).unwrap();
    Client::new("test", config, &metrics).unwrap()
}

async fn serve(router: Router) -> Server {
    Server::start(router).await
}

fn url(server: &Server, path: &str) -> Url {
    server.url(path).parse().unwrap()
}

/// Fails `failures` times with `status`, then answers; counts every call.
fn flaky(failures: u32, status: StatusCode, retry_after: &'static str) -> (Router, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let handler = move || {
        let call = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if call < failures {
                (status, [("retry-after", retry_after)]).into_response()
            } else {
                "ok".into_response()
            }
        }
    };
    (Router::new().route("/", get(handler)), calls)
}

#[tokio::test]
async fn transient_failures_are_retried() {
    let (router, calls) = flaky(2, StatusCode::BAD_GATEWAY, "nonsense");
    let server = serve(router).await;
    let body = client(&config()).download(&url(&server, "/"), 10).await.unwrap();
    assert_eq!((&body[..], calls.load(Ordering::SeqCst)), (&b"ok"[..], 3));
    server.stop().await;
}

#[tokio::test]
async fn retries_are_limited() {
    let (router, calls) = flaky(99, StatusCode::SERVICE_UNAVAILABLE, "0");
    let server = serve(router).await;
    let error = client(&config()).download(&url(&server, "/"), 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Status { status, .. } if status == 503), "{error:?}");
    assert_eq!((error.kind(), calls.load(Ordering::SeqCst)), (ErrorKind::Unavailable, 3));
    server.stop().await;
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    let (router, calls) = flaky(99, StatusCode::NOT_FOUND, "0");
    let server = serve(router).await;
    let error = client(&config()).download(&url(&server, "/"), 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Status { status, .. } if status == 404), "{error:?}");
    assert_eq!((error.kind(), calls.load(Ordering::SeqCst)), (ErrorKind::BadUpstream, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let (router, calls) = flaky(99, StatusCode::TOO_MANY_REQUESTS, "3600");
    let server = serve(router).await;
    let error = client(&config()).download(&url(&server, "/"), 10).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_hours(1)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    server.stop().await;
}

#[tokio::test]
async fn the_upstream_chooses_the_pause() {
    let (router, calls) = flaky(1, StatusCode::SERVICE_UNAVAILABLE, "1");
    let server = serve(router).await;
    let started = std::time::Instant::now();
    client(&config()).download(&url(&server, "/"), 10).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_timeout_ends_an_attempt_and_the_deadline_all() {
    let server = serve(Router::new().route("/", get(std::future::pending::<()>))).await;
    for (timeout, deadline) in [(20, 60_000), (60_000, 20)] {
        let (timeout, deadline) = (Duration::from_millis(timeout), Duration::from_millis(deadline));
        let config = ClientConfig { timeout, deadline, max_retries: 1, ..config() };
        let error = client(&config).download(&url(&server, "/"), 10).await.unwrap_err();
        assert!(matches!(error, ClientError::Timeout), "{error:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_size_limit_applies_with_and_without_content_length() {
    let streamed = || async {
        let chunk = Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[0; 1_000]));
        Response::new(Body::from_stream(futures_util::stream::repeat_with(move || {
            chunk.as_ref().map(Clone::clone).map_err(|_| std::io::Error::other(""))
        })))
    };
    let announced = || async { vec![0_u8; 2_000] };
    let server = serve(Router::new().route("/endless", get(streamed)).route("/announced", get(announced))).await;
    let client = client(&config());
    for path in ["/endless", "/announced"] {
        let error = client.download(&url(&server, path), 1_999).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { limit: 1_999 }), "{path}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
    }
    assert_eq!(client.download(&url(&server, "/announced"), 2_000).await.unwrap().len(), 2_000);
    server.stop().await;
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let mut upstream = tokio::task::JoinSet::new();
    upstream.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            let read = stream.read(&mut head).await.unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await.unwrap();
        }
    });
    let error = client(&config()).download(&address, 1_000).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn redirects_are_limited_and_checked() {
    let router = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/once", get(|| async { Redirect::temporary("/ok") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/private", get(|| async { Redirect::temporary("http://127.0.0.2:1/") }))
        .route("/metadata", get(|| async { Redirect::permanent("http://169.254.169.254/latest/meta-data") }))
        .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }));
    let server = serve(router).await;
    let client = client(&config());
    assert_eq!(&client.download(&url(&server, "/once"), 10).await.unwrap()[..], b"ok");
    for (path, refusal) in
        [("/loop", Refusal::Redirects), ("/private", Refusal::Private), ("/metadata", Refusal::Private)]
    {
        let error = client.download(&url(&server, path), 10).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused(found) if found == refusal), "{path}: {error:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_refused() {
    let config = ClientConfig { allowed_addresses: Vec::new(), ..config() };
    let error = client(&config).download(&"http://localhost:1/".parse().unwrap(), 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::Private)), "{error:?}");
    let error = client(&config).download(&"http://127.0.0.1:1/".parse().unwrap(), 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::Private)), "{error:?}");
}

#[tokio::test]
async fn the_circuit_opens_and_closes_again() {
    let (router, calls) = flaky(2, StatusCode::INTERNAL_SERVER_ERROR, "0");
    let server = serve(router).await;
    let config =
        ClientConfig { max_retries: 0, breaker_failures: 2, breaker_pause: Duration::from_millis(200), ..config() };
    let client = client(&config);
    let here = url(&server, "/");
    for _ in 0..2 {
        assert!(client.download(&here, 10).await.is_err());
    }
    let open = client.download(&here, 10).await.unwrap_err();
    assert!(matches!(open, ClientError::Unavailable { retry_after: Some(_), .. }), "{open:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 2, "an open circuit makes no call");
    tokio::time::sleep(open.retry_after().unwrap()).await;
    assert_eq!(&client.download(&here, 10).await.unwrap()[..], b"ok");
    server.stop().await;
}

#[derive(Debug, Deserialize)]
struct Breeds {
    message: Vec<String>,
}

#[tokio::test]
async fn json_is_parsed_and_invalid_json_is_an_error() {
    let router = Router::new()
        .route("/good", get(|| async { r#"{"message":["husky"]}"# }))
        .route("/bad", get(|| async { "<html>" }));
    let server = serve(router).await;
    let client = client(&config());
    let breeds: Breeds = client.get_json(&url(&server, "/good")).await.unwrap();
    assert_eq!(breeds.message, ["husky"]);
    let error = client.get_json::<Breeds>(&url(&server, "/bad")).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed(_)), "{error:?}");
    server.stop().await;
}

#[tokio::test]
async fn no_error_contains_the_url() {
    let config = ClientConfig { max_retries: 0, connect_timeout: Duration::from_millis(500), ..config() };
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = format!("http://user:hunter2@{unused}/hunter2?token=hunter2").parse().unwrap();
    let error = client(&config).download(&address, 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn metric_names_and_labels_are_pinned() {
    let registry = Registry::new();
    let metrics = ClientMetrics::register(&registry).unwrap();
    let (router, _) = flaky(1, StatusCode::BAD_GATEWAY, "0");
    let server = serve(router).await;
    let client = Client::new("dog_api", &config(), &metrics).unwrap();
    client.download(&url(&server, "/"), 10).await.unwrap();
    let text = kennel_telemetry::metrics::encode(&registry);
    for outcome in ["ok", "server_error"] {
        let line = format!(r#"upstream_request_duration_seconds_count{{outcome="{outcome}",upstream="dog_api"}} 1"#);
        assert!(text.contains(&line), "{line} in {text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_trace_is_propagated_to_the_upstream() {
    support::enable_tracing();
    let trace = |headers: HeaderMap| async move { headers["traceparent"].to_str().unwrap().to_owned() };
    let server = serve(Router::new().route("/", get(trace))).await;
    let span = tracing::info_span!("work");
    let ours = span.in_scope(propagation::current).unwrap().traceparent;
    let (client, here) = (client(&config()), url(&server, "/"));
    let body = client.download(&here, 100).instrument(span).await.unwrap();
    let theirs = std::str::from_utf8(&body).unwrap();
    assert_eq!(theirs[..36], ours[..36], "one trace");
    assert_ne!(theirs, ours, "the parent is the call, not the work around it");
    server.stop().await;
}

#[tokio::test]
async fn the_user_agent_is_sent() {
    let agent = |headers: HeaderMap| async move { headers["user-agent"].to_str().unwrap().to_owned() };
    let server = serve(Router::new().route("/", get(agent))).await;
    let body = client(&config()).download(&url(&server, "/"), 100).await.unwrap();
    assert!(body.starts_with(b"kennel/"), "{body:?}");
    server.stop().await;
}
