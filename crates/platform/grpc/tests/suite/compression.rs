//! Compressed requests, and compressed responses to callers that accept them.

use std::net::SocketAddr;

use crate::support::{RawResponse, config, gzipped, raw_call, raw_send, start};
use prost::Message;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

const DO: &str = "/test.v1.Probe/Do";
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");
const ACCEPTS: (&str, &str) = ("grpc-accept-encoding", "identity, deflate, gzip");

/// Sends a compressed request and returns the response.
async fn send(addr: SocketAddr, path: &str, message: &impl Message) -> RawResponse {
    raw_send(addr, path, &[GZIP, ACCEPTS], gzipped(message)).await
}

#[tokio::test]
async fn every_service_accepts_compressed_requests() {
    let server = start(config()).await;
    let health = HealthCheckRequest { service: String::new() };
    assert_eq!(send(server.addr, "/grpc.health.v1.Health/Check", &health).await.code(), 0);
    assert_eq!(send(server.addr, DO, &"hello".to_owned()).await.code(), 0);
    macro_rules! reflect {
        ($version:ident) => {{
            use tonic_reflection::pb::$version as pb;
            let symbol =
                pb::server_reflection_request::MessageRequest::FileContainingSymbol("grpc.health.v1.Health".into());
            let request = pb::ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
            let path = format!("/grpc.reflection.{}.ServerReflection/ServerReflectionInfo", stringify!($version));
            let response = send(server.addr, &path, &request).await;
            assert_eq!((response.code(), response.headers["grpc-encoding"].to_str().unwrap()), (0, "gzip"), "{path}");
        }};
    }
    reflect!(v1);
    reflect!(v1alpha);
}

#[tokio::test]
async fn large_responses_are_compressed_for_callers_that_accept_it() {
    let server = start(config()).await;
    let large = "word".repeat(1_024);
    let compressed = raw_call(server.addr, DO, &[ACCEPTS], &large).await;
    assert_eq!((compressed.code(), compressed.headers["grpc-encoding"].to_str().unwrap()), (0, "gzip"));
    assert_eq!(compressed.body[0], 1);
    assert!(compressed.body.len() < 200, "{} bytes", compressed.body.len());

    let small = raw_call(server.addr, DO, &[ACCEPTS], "word").await;
    assert_eq!((small.code(), small.body[0], small.body.len()), (0, 0, 5 + 6));
    let plain = raw_call(server.addr, DO, &[], &large).await;
    assert_eq!((plain.code(), plain.body[0]), (0, 0));
    assert!(!plain.headers.contains_key("grpc-encoding") && plain.body.len() > large.len());
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_with_the_supported_ones() {
    let server = start(config()).await;
    let refused = raw_send(server.addr, DO, &[("grpc-encoding", "snappy")], gzipped(&"hello".to_owned())).await;
    assert_eq!(refused.code(), i32::from(Code::Unimplemented));
    assert_eq!(refused.headers["grpc-accept-encoding"], "gzip,identity");
}
