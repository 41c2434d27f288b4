//! Requests that are refused while their body is still being sent.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{self, Server};

/// Much more than the socket buffers of both ends of a connection can store.
const LARGE: usize = 32 * 1024 * 1024;

async fn server() -> Server {
    let routes = Router::new().route("/small", post(|_: bytes::Bytes| async {}).layer(DefaultBodyLimit::max(4)));
    Server::stacked(routes, &harness::config()).await
}

fn head(length: usize) -> String {
    format!("POST /small HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut text))
        .await
        .expect("the server closes the connection")
        .unwrap();
    text
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_gets_the_error() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(head(LARGE).as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; LARGE]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_sends_the_rest_is_disconnected() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(format!("{}12345", head(LARGE)).as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The client leaves its half open and sends nothing; the shutdown has to complete anyway.
    server.stop().await;
    drop(stream);
}

#[tokio::test]
async fn a_connection_is_reused_after_a_small_unread_body() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let refused = format!("{}{}", head(5), "12345");
    let accepted = head(3).replace("host: a", "host: a\r\nconnection: close");
    stream.write_all(format!("{refused}{accepted}123").as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 413 ").count(), 1, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1, "{answers}");
    server.stop().await;
}
