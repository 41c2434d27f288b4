//! Bodies that arrive slowly, not at all, or compressed.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use kennel_http::HttpConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::harness::{self, Server, problem};

/// "kennel" a thousand times, by gzip: 6,000 bytes in 50.
const GZIP: &[u8] = include_bytes!("kennels.gz");

fn routes() -> Router {
    let length = async |body: Body| match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => Ok(body.len().to_string()),
        Err(error) => Err(kennel_http::body::refusal(&error)),
    };
    let buffered = |body: Bytes| async move { body.len().to_string() };
    let slow = |body: Bytes| async move {
        std::future::pending::<()>().await;
        body
    };
    Router::new()
        .route("/length", post(length))
        .route("/small", post(buffered).layer(DefaultBodyLimit::max(5_999)))
        .route("/slow", post(slow))
}

async fn server(config: HttpConfig) -> Server {
    Server::stacked(routes(), &config).await
}

fn config() -> HttpConfig {
    HttpConfig { request_timeout_ms: 300, body_idle_timeout_ms: 2_000, ..harness::config() }
}

#[tokio::test]
async fn a_slow_body_is_waited_for_while_it_comes() {
    let server = server(config()).await;
    // Far longer in all than a handler may take, with no silence that is too long.
    let pieces = stream::unfold(0, |sent| async move {
        sleep(Duration::from_millis(60)).await;
        (sent < 20).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"12345")), sent + 1))
    });
    let began = Instant::now();
    let request = harness::client().post(server.url("/length")).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(harness::get_text(request).await, "100");
    assert!(began.elapsed() > Duration::from_secs(1), "it was not slow");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_answered_408() {
    let server = server(HttpConfig { body_idle_timeout_ms: 100, ..config() }).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n12345").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer))
        .await
        .expect("it closes")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("client_timeout"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn silence_may_last_longer_than_a_handler_may_take() {
    let server = server(config()).await;
    let late = stream::once(async {
        sleep(Duration::from_millis(900)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"12345"))
    });
    let request = harness::client().post(server.url("/length")).body(reqwest::Body::wrap_stream(late));
    assert_eq!(harness::get_text(request).await, "5");
    server.stop().await;
}

#[tokio::test]
async fn a_handler_has_its_time_from_the_last_byte_on() {
    let server = server(config()).await;
    let (parts, body) = problem(harness::client().post(server.url("/slow")).body("12345")).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (504, &json!("timeout")));
    server.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_taken_within_the_limit_on_what_comes_out() {
    let server = server(harness::config()).await;
    let send = |path: &str| {
        let request = harness::client().post(server.url(path)).header("content-encoding", "gzip");
        request.header("content-length", GZIP.len()).body(GZIP)
    };
    assert_eq!(harness::get_text(send("/length")).await, "6000");
    assert_eq!(problem(send("/small")).await.0.status, 413);
    let (parts, body) = problem(send("/length").body("no gzip at all").header("content-length", 14)).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (400, &json!("malformed")));
    server.stop().await;
}

#[tokio::test]
async fn other_encodings_are_refused_with_those_that_are_taken() {
    let server = server(harness::config()).await;
    let request = harness::client().post(server.url("/length")).header("content-encoding", "zstd").body("x");
    let (parts, body) = problem(request).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (415, &json!("unsupported_media_type")));
    assert_eq!(parts.headers["accept-encoding"], "gzip");
    server.stop().await;
}
