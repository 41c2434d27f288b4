//! A call without a gRPC client, which would enforce timeouts of its own.

use std::net::SocketAddr;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// `grpc-status`, wherever it is.
    pub(crate) fn code(&self) -> i32 {
        let trailing = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        let code = self.headers.get("grpc-status").or(trailing).expect("a status");
        code.to_str().unwrap().parse().unwrap()
    }
}

pub(crate) async fn raw_call(addr: SocketAddr, path: &str, headers: &[(&str, &str)], word: &str) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let mut request = Request::post(format!("http://{addr}{path}")).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(framed(word))).unwrap()).await.unwrap();
    let headers = response.headers().clone();
    let trailers = response.into_body().collect().await.unwrap().trailers().cloned();
    Answer { headers, trailers }
}

fn framed(word: &str) -> Bytes {
    let message = word.to_owned().encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(&message);
    frame.freeze()
}
