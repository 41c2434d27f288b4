//! The server over real sockets: every problem, every layer, and a graceful shutdown that loses no request.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{self, Server, get_text, problem};
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::StreamExt as _;
use http::StatusCode;
use kennel_app::Stop;
use kennel_config::{ByteSize, HumanDuration};
use kennel_core::ErrorKind;
use kennel_http::{HttpConfig, HttpError, HttpMetrics, Json, Path, Query, RequestId, RequestTimeout, Stack};
use kennel_net::ServerConfig;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    limit: Option<u32>,
}

#[derive(Deserialize)]
struct Dog {
    name: String,
}

async fn panics() -> StatusCode {
    panic!("hunter2")
}

fn routes() -> Router {
    Router::new()
        .route("/dogs/{id}", get(|Path(id): Path<u32>| async move { id.to_string() }))
        .route("/dogs", get(|Query(paging): Query<Paging>| async move { format!("{:?}", paging.limit) }))
        .route("/dogs", post(|Json(dog): Json<Dog>| async move { dog.name }))
        .route("/small", post(|_: bytes::Bytes| async {}).layer(DefaultBodyLimit::max(4)))
        .route("/panic", get(panics))
        .route("/hang", get(|| async { std::future::pending::<()>().await }))
        .route("/bare", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "select hunter2 from users") }))
        .route("/id", get(|Extension(id): Extension<RequestId>| async move { id.as_str().to_owned() }))
        .route("/big", get(|| async { "dogs ".repeat(1_000) }))
        .route(
            "/down",
            get(|| async {
                Err::<(), _>(
                    HttpError::from_error(ErrorKind::Unavailable, "hunter2").with_retry_after(Duration::from_secs(7)),
                )
            }),
        )
}

fn config() -> HttpConfig {
    HttpConfig { body_limit: ByteSize(64), ..harness::config() }
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client();
    let json =
        |body: &'static str| client.post(server.url("/dogs")).header("content-type", "application/json").body(body);
    let long = json(r#"{"name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#);
    for (request, status, code, field) in [
        (client.get(server.url("/nowhere")), 404, "not_found", None),
        (client.put(server.url("/dogs")), 405, "method_not_allowed", None),
        (client.get(server.url("/dogs/rex")), 422, "invalid", Some("id")),
        (client.get(server.url("/dogs?limit=many")), 422, "invalid", Some("limit")),
        (client.get(server.url("/dogs?colour=red")), 422, "invalid", Some("colour")),
        (json("{"), 400, "malformed", None),
        (json(r#"{"name":7}"#), 422, "invalid", Some("name")),
        (json("{}"), 422, "invalid", Some("name")),
        (long, 413, "too_large", None),
        (client.post(server.url("/small")).body("12345"), 413, "too_large", None),
        (client.post(server.url("/dogs")).body("{}"), 415, "unsupported_media_type", None),
        (client.get(server.url("/panic")), 500, "internal", None),
        (client.get(server.url("/bare")), 500, "internal", None),
        (client.get(server.url("/down")), 503, "unavailable", None),
    ] {
        let (parts, body) = problem(request).await;
        assert_eq!((parts.status.as_u16(), &body["code"]), (status, &json!(code)), "{body}");
        assert_eq!(body["request_id"], parts.headers["x-request-id"].to_str().unwrap(), "{body}");
        assert_eq!(body["errors"][0]["field"].as_str(), field, "{body}");
        assert!(!body.to_string().contains("hunter2"), "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn problems_retain_relevant_headers() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client();
    let (parts, _) = problem(client.put(server.url("/dogs"))).await;
    let allow = parts.headers["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    let (parts, _) = problem(client.get(server.url("/down"))).await;
    assert_eq!(parts.headers["retry-after"], "7");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_handler_times_out() {
    let config = HttpConfig {
        server: ServerConfig { request_timeout: HumanDuration::from_millis(50), ..ServerConfig::default() },
        ..config()
    };
    let server = Server::stacked(routes(), &config).await;
    let (parts, body) = problem(harness::client().get(server.url("/hang"))).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (504, &json!("timeout")));
    server.stop().await;
}

#[tokio::test]
async fn a_timeout_that_changes_applies_to_the_next_request() {
    let millis = Arc::new(AtomicU64::new(20));
    let current = Arc::clone(&millis);
    let timeout = RequestTimeout::new(move || Duration::from_millis(current.load(Ordering::Relaxed)));
    let config = HttpConfig { timeout: Some(timeout), ..config() };
    let (gate, _started, release) = gate();
    let server = Server::stacked(gate, &config).await;
    let client = harness::client();
    let (parts, _) = problem(client.get(server.url("/gate"))).await;
    assert_eq!(parts.status, 504);
    millis.store(60_000, Ordering::Relaxed);
    let release_late = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        release.notify_one();
    };
    let (response, ()) = tokio::join!(client.get(server.url("/gate")).send(), release_late);
    assert_eq!(response.unwrap().status(), 200);
    server.stop().await;
}

/// A route that notifies when a request has started, and responds once it is notified.
fn gate() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_start, wait) = (Arc::clone(&started), Arc::clone(&release));
    let handler = move || {
        let (on_start, wait) = (Arc::clone(&on_start), Arc::clone(&wait));
        async move {
            on_start.notify_one();
            wait.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/gate", get(handler)).route("/live", get(|| async { "live" }));
    (router, started, release)
}

#[tokio::test]
async fn excess_requests_are_shed_and_probes_are_not() {
    let (router, started, release) = gate();
    let (config, metrics) = (
        HttpConfig { server: ServerConfig { max_in_flight: 1, ..ServerConfig::default() }, ..config() },
        harness::metrics(),
    );
    let server = Server::start(Stack::new(&config, &metrics.0).exempt(["/live"]).apply(router), &config).await;
    let client = harness::client();
    let in_flight = tokio::task::JoinSet::from_iter([get_text(client.get(server.url("/gate")))]);
    started.notified().await;
    let (parts, body) = problem(client.get(server.url("/gate"))).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (503, &json!("overloaded")));
    assert_eq!(parts.headers["retry-after"], "1");
    assert_eq!(get_text(client.get(server.url("/live"))).await, "live");
    release.notify_one();
    assert_eq!(in_flight.join_all().await, ["done"]);
    server.stop().await;
}

#[tokio::test]
async fn a_request_has_the_same_id_everywhere() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client();
    let response = client.get(server.url("/id")).header("x-request-id", "abc-1").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "abc-1");
    assert_eq!(response.text().await.unwrap(), "abc-1");
    let response = client.get(server.url("/id")).header("x-request-id", "<b>").send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!((id.len(), response.text().await.unwrap()), (36, id));
    server.stop().await;
}

#[tokio::test]
async fn a_request_continues_the_trace_of_its_caller() {
    harness::enable_tracing();
    let trace = || async { kennel_telemetry::propagation::current().unwrap().traceparent };
    let server = Server::stacked(Router::new().route("/", get(trace)), &config()).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = harness::client().get(server.url("/"));
    let here = get_text(request.header("traceparent", parent)).await;
    assert_eq!(here[..36], parent[..36], "one trace");
    assert_ne!(here, parent, "a span of its own");
    server.stop().await;
}

#[tokio::test]
async fn an_endless_response_ends_with_the_server() {
    let ticks = |Extension(stop): Extension<Stop>| async move {
        let ticks = futures_util::stream::once(async { Ok::<_, Infallible>("tick") });
        let end = async move { stop.requested().await };
        let quiet = futures_util::stream::pending();
        axum::body::Body::from_stream(ticks.chain(quiet).take_until(Box::pin(end)))
    };
    let server = Server::stacked(Router::new().route("/", get(ticks)), &config()).await;
    let mut response = harness::client().get(server.url("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "tick");
    server.stop().await;
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn responses_are_compressed_and_have_security_headers() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client();
    let response = client.get(server.url("/big")).header("accept-encoding", "gzip").send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert!(response.bytes().await.unwrap().len() < 1_000);
    server.stop().await;
}

/// The first two requests take different ways through the layers.
#[tokio::test]
async fn a_response_has_the_same_headers_without_a_coding() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client();
    for path in ["/big", "/dogs/1", "/bare"] {
        let mut seen = Vec::new();
        for accepted in [None, Some("identity")] {
            let request = client.get(server.url(path)).header("x-request-id", "same");
            let request =
                accepted.into_iter().fold(request, |request, coding| request.header("accept-encoding", coding));
            let mut headers = request.send().await.unwrap().headers().clone();
            headers.remove("date");
            assert!(!headers.contains_key("content-encoding"), "{headers:?}");
            seen.push(headers);
        }
        assert_eq!(seen[0], seen[1], "{path}");
        assert_eq!(seen[0].contains_key("vary"), path == "/big", "{path}: short bodies are not compressed");
    }
    server.stop().await;
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let config = HttpConfig { cors_origins: vec!["https://good.example".to_owned()], ..config() };
    let server = Server::stacked(routes(), &config).await;
    let client = harness::client();
    for (origin, allowed) in [("https://good.example", true), ("https://evil.example", false)] {
        let preflight = client.request(http::Method::OPTIONS, server.url("/dogs"));
        let preflight = preflight.header("origin", origin).header("access-control-request-method", "POST");
        let headers = preflight.send().await.unwrap().headers().clone();
        assert_eq!(headers.contains_key("access-control-allow-origin"), allowed, "{headers:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn metric_names_and_labels_are_pinned() {
    let (metrics, registry) = harness::metrics();
    let config = config();
    let server = Server::start(kennel_http::stack(routes(), &config, &metrics), &config).await;
    let client = harness::client();
    get_text(client.get(server.url("/dogs/1"))).await;
    get_text(client.get(server.url("/dogs/2"))).await;
    problem(client.get(server.url("/secret-42"))).await;
    problem(client.request("BREW".parse().unwrap(), server.url("/dogs"))).await;
    let text = kennel_telemetry::metrics::encode(&registry);
    for line in [
        r#"http_requests_total{method="GET",route="/dogs/{id}",status="200"} 2"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"http_requests_total{method="other",route="/dogs",status="405"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/dogs/{id}"} 2"#,
        "http_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_disconnects_is_counted() {
    let (metrics, registry) = harness::metrics();
    let config = config();
    let (router, started, _release) = gate();
    let server = Server::start(kennel_http::stack(router, &config, &metrics), &config).await;
    let request = tokio::task::JoinSet::from_iter([get_text(harness::client().get(server.url("/gate")))]);
    started.notified().await;
    drop(request);
    let line = r#"http_requests_total{method="GET",route="/gate",status="499"} 1"#;
    harness::wait_until(|| kennel_telemetry::metrics::encode(&registry).contains(line)).await;
    assert!(kennel_telemetry::metrics::encode(&registry).contains("http_requests_in_flight 0"));
    server.stop().await;
}

/// The latency of a request includes the time of its handler, but not the time the client takes to send the body.
#[tokio::test]
async fn sending_time_of_the_client_is_not_latency() {
    let (metrics, registry) = harness::metrics();
    let slow = |_: bytes::Bytes| tokio::time::sleep(Duration::from_millis(600));
    let router = Router::new().route("/quick", post(|_: bytes::Bytes| async {})).route("/slow", post(slow));
    let config = config();
    let server = Server::start(kennel_http::stack(router, &config, &metrics), &config).await;
    let post = async |path: &str, pause: Duration| {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n1");
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(pause).await;
        stream.write_all(b"2").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    tokio::join!(post("/quick", Duration::from_millis(600)), post("/slow", Duration::ZERO));
    let text = kennel_telemetry::metrics::encode(&registry);
    for (route, in_time) in [("/quick", 1), ("/slow", 0)] {
        let labels = format!(r#"method="POST",route="{route}""#);
        let bucket = format!(r#"http_request_duration_seconds_bucket{{{labels},le="0.5"}} {in_time}"#);
        let count = format!("http_request_duration_seconds_count{{{labels}}} 1");
        assert!(text.contains(&bucket) && text.contains(&count), "{bucket} in {text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_registered_once() {
    let (_, registry) = harness::metrics();
    assert!(HttpMetrics::register(&registry).is_err());
}

#[tokio::test]
async fn an_idle_or_slow_client_is_disconnected() {
    let config = HttpConfig { header_read_timeout: Duration::from_millis(100), ..config() };
    let server = Server::stacked(routes(), &config).await;
    for start in ["", "P", "GET /id HTTP/1.1\r\nhost: a\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {start:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn http2_is_served_on_the_same_port() {
    let server = Server::stacked(routes(), &config()).await;
    let client = harness::client_builder().http2_prior_knowledge().build().unwrap();
    let response = client.get(server.url("/id")).send().await.unwrap();
    assert_eq!((response.version(), response.status()), (http::Version::HTTP_2, StatusCode::OK));
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_reported_at_init() {
    use kennel_app::Component as _;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = HttpConfig { server_port: taken.local_addr().unwrap().port(), ..config() };
    let mut server = kennel_http::HttpServer::new("http", &config, Router::new());
    let error = server.init().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", config.addr()));
}

#[tokio::test]
async fn a_request_in_flight_completes_after_the_stop() {
    let (router, started, release) = gate();
    let server = Server::stacked(router, &config()).await;
    let in_flight = tokio::task::JoinSet::from_iter([get_text(harness::client().get(server.url("/gate")))]);
    started.notified().await;
    let stop = server.stop.clone();
    stop.request();
    release.notify_one();
    assert_eq!(in_flight.join_all().await, ["done"]);
    server.stop().await;
}

#[tokio::test]
async fn an_abort_does_not_wait_for_a_request() {
    let (router, started, _release) = gate();
    let server = Server::stacked(router, &config()).await;
    let in_flight = tokio::task::JoinSet::from_iter([harness::client().get(server.url("/gate")).send()]);
    started.notified().await;
    server.stop.abort();
    server.stop().await;
    assert!(in_flight.join_all().await[0].is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_under_load_loses_no_request() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let handler = move || {
        let count = Arc::clone(&count);
        async move {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
            "ok"
        }
    };
    let server = Server::stacked(Router::new().route("/", get(handler)), &config()).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (url, addr, stop) = (server.url("/"), server.addr, server.stop.clone());
        // One client per task: it reuses its connection until the server closes it.
        let client = harness::client();
        clients.spawn(async move {
            let mut answered = 0;
            loop {
                let stopped = stop.is_requested();
                match client.get(&url).send().await {
                    Ok(response) => assert_eq!(response.text().await.unwrap(), "ok"),
                    Err(error) => {
                        // A request may fail only once the listener is closed; the count below proves that the server
                        // accepted none of those. A refused one may have started just before the stop.
                        let closed = tokio::net::TcpStream::connect(addr).await.is_err();
                        assert!((stopped || error.is_connect()) && closed, "lost: {error:?}");
                        return answered;
                    }
                }
                answered += 1;
            }
        });
    }
    harness::wait_until(|| calls.load(Ordering::SeqCst) > 500).await;
    server.stop().await;
    let answered: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(answered, calls.load(Ordering::SeqCst));
}
