//! Request bodies that arrive slowly, stop, or are compressed.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use kennel_config::HumanDuration;
use kennel_http::HttpConfig;
use kennel_net::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::harness::{self, Server, problem};

/// "kennel" repeated a thousand times: 6,000 bytes that gzip compresses to 50.
const GZIP: &[u8] = include_bytes!("kennels.gz");

fn routes() -> Router {
    let length = async |body: Body| match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => Ok(body.len().to_string()),
        Err(error) => Err(kennel_http::body::classify(&error)),
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
    let server = ServerConfig { request_timeout: HumanDuration::from_millis(300), ..ServerConfig::default() };
    HttpConfig { server, body_idle_timeout: HumanDuration::from_secs(2), ..harness::config() }
}

#[tokio::test]
async fn a_slow_body_is_read_while_data_arrives() {
    let server = server(config()).await;
    // Much longer in total than the request timeout, with no pause longer than the idle timeout.
    let chunks = stream::unfold(0, |sent| async move {
        sleep(Duration::from_millis(60)).await;
        (sent < 20).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"12345")), sent + 1))
    });
    let started = Instant::now();
    let request = harness::client().post(server.url("/length")).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(harness::get_text(request).await, "100");
    assert!(started.elapsed() > Duration::from_secs(1), "the body was not slow");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_client_gets_408() {
    let server = server(HttpConfig { body_idle_timeout: HumanDuration::from_millis(100), ..config() }).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n12345").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer))
        .await
        .expect("the server closes the connection")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("client_timeout"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn the_body_idle_timeout_may_exceed_the_request_timeout() {
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
async fn the_request_timeout_starts_at_the_last_byte_of_the_body() {
    let server = server(config()).await;
    let (parts, body) = problem(harness::client().post(server.url("/slow")).body("12345")).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (504, &json!("timeout")));
    server.stop().await;
}

#[tokio::test]
async fn the_body_limit_counts_decompressed_bytes() {
    let server = server(harness::config()).await;
    let send = |path: &str| {
        let request = harness::client().post(server.url(path)).header("content-encoding", "gzip");
        request.header("content-length", GZIP.len()).body(GZIP)
    };
    assert_eq!(harness::get_text(send("/length")).await, "6000");
    for name in ["GZIP", "x-gzip"] {
        let request = harness::client().post(server.url("/length")).header("content-encoding", name);
        assert_eq!(harness::get_text(request.body(GZIP)).await, "6000", "{name}");
    }
    assert_eq!(problem(send("/small")).await.0.status, 413);
    let (parts, body) = problem(send("/length").body("no gzip at all").header("content-length", 14)).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (400, &json!("malformed")));
    server.stop().await;
}

#[tokio::test]
async fn other_encodings_are_refused_with_the_supported_ones() {
    let server = server(harness::config()).await;
    let request = harness::client().post(server.url("/length")).header("content-encoding", "zstd").body("x");
    let (parts, body) = problem(request).await;
    assert_eq!((parts.status.as_u16(), &body["code"]), (415, &json!("unsupported_media_type")));
    assert_eq!(parts.headers["accept-encoding"], "gzip");
    server.stop().await;
}
