//! Calls without a gRPC client, because a client would enforce its own timeouts.

use std::io::Write as _;
use std::net::SocketAddr;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) struct RawResponse {
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    /// Message frames.
    pub(crate) body: Bytes,
}

impl RawResponse {
    /// The text of the only message.
    pub(crate) fn message(&self) -> String {
        assert_eq!(self.code(), 0);
        String::decode(&self.body[5..]).unwrap()
    }

    /// `grpc-status` of the headers or trailers.
    pub(crate) fn code(&self) -> i32 {
        let trailing = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        let code = self.headers.get("grpc-status").or(trailing).expect("a status");
        code.to_str().unwrap().parse().unwrap()
    }
}

pub(crate) async fn raw_call(addr: SocketAddr, path: &str, headers: &[(&str, &str)], word: &str) -> RawResponse {
    raw_send(addr, path, headers, framed(word)).await
}

/// Sends a call whose body is `frame`.
pub(crate) async fn raw_send(addr: SocketAddr, path: &str, headers: &[(&str, &str)], frame: Bytes) -> RawResponse {
    let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let mut request = Request::post(format!("http://{addr}{path}")).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(frame)).unwrap()).await.unwrap();
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned();
    RawResponse { headers, trailers, body: body.to_bytes() }
}

fn framed(word: &str) -> Bytes {
    frame(0, &word.to_owned().encode_to_vec())
}

/// A frame with the compressed message.
pub(crate) fn gzipped(message: &impl prost::Message) -> Bytes {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&message.encode_to_vec()).unwrap();
    frame(1, &gzip.finish().unwrap())
}

pub(crate) fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}
