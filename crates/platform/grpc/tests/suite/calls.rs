//! What the server does for every call: request id, deadline, limit on calls in flight, panics, error details, metrics.

use std::time::Duration;

use crate::support::{SERVICE, config, frame, gzipped, raw_call, raw_send, start};
use bytes::Bytes;
use kennel_config::HumanDuration;
use kennel_grpc::GrpcConfig;
use kennel_net::ServerConfig;
use tokio::task::JoinSet;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

const DO: &str = "/test.v1.Probe/Do";
const WATCH: &str = "/test.v1.Probe/Watch";

fn handled(method: &str, code: &str, fault: &str, count: u32) -> String {
    let service = if method == "unknown" { "unknown" } else { SERVICE };
    let labels = format!(r#"code="{code}",fault="{fault}",method="{method}",service="{service}""#);
    format!("grpc_server_handled_total{{{labels}}} {count}")
}

fn one_at_a_time() -> GrpcConfig {
    GrpcConfig { server: ServerConfig { max_in_flight: 1, ..ServerConfig::default() }, ..config() }
}

#[tokio::test]
async fn request_ids_are_accepted_or_generated_and_sent_back() {
    let server = start(config()).await;
    let accepted = raw_call(server.addr, DO, &[("x-request-id", "mine-1")], "id").await;
    assert_eq!((accepted.code(), accepted.headers["x-request-id"].to_str().unwrap()), (0, "mine-1"));

    let generated = server.client().await.call("id").await.unwrap();
    let id = generated.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(generated.into_inner(), id, "the handler sees the id that the caller gets");
    assert_eq!(id.len(), 36);
}

#[tokio::test]
async fn errors_have_details() {
    let server = start(config()).await;
    let refused = server.client().await.call("invalid").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "word: must be another"));
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("invalid", "probe"));
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "word");
    let id = refused.metadata().get("x-request-id").unwrap().to_str().unwrap();
    assert_eq!(details.request_info().unwrap().request_id, id);
}

#[tokio::test]
async fn faults_hide_their_cause() {
    let server = start(config()).await;
    let failed = server.client().await.call("fault").await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Internal, "internal error"));
    assert!(!format!("{failed:?}").contains("hunter2"));
}

#[tokio::test]
async fn undecodable_messages_are_the_callers_fault() {
    let server = start(config()).await;
    let gzip = ("grpc-encoding", "gzip");
    let bad = [(vec![], frame(0, &[0xff, 0xff])), (vec![gzip], frame(1, b"no gzip")), (vec![], Bytes::new())];
    for method in [DO, WATCH] {
        for (headers, body) in &bad {
            let refused = raw_send(server.addr, method, headers, body.clone()).await;
            assert_eq!(refused.code(), i32::from(Code::InvalidArgument), "{method} {body:?}");
            assert_eq!(refused.headers["grpc-message"], "the%20request%20message%20cannot%20be%20decoded");
            assert!(refused.headers.contains_key("x-request-id"));
        }
    }
    let bomb = "x".repeat(64 * 1_024 * 1_024);
    let refused = raw_send(server.addr, DO, &[gzip], gzipped(&bomb)).await;
    assert_eq!(refused.code(), i32::from(Code::ResourceExhausted));
    server.metric(&handled("Do", "RESOURCE_EXHAUSTED", "caller", 1)).await;
    server.metric(&handled("Do", "INVALID_ARGUMENT", "caller", 3)).await;
    server.metric(&handled("Watch", "INVALID_ARGUMENT", "caller", 3)).await;
}

#[tokio::test]
async fn callers_deadlines_are_enforced_and_the_handler_is_dropped() {
    let server = start(config()).await;
    let headers = [("grpc-timeout", "1S")];
    let late = raw_call(server.addr, DO, &headers, "wait");
    let aborted = raw_call(server.addr, WATCH, &headers, "wait");
    let (late, aborted) = tokio::join!(late, aborted);
    for answer in [&late, &aborted] {
        assert_eq!(answer.code(), i32::from(Code::DeadlineExceeded));
    }
    assert!(late.headers.contains_key("grpc-status"));
    assert!(!aborted.headers.contains_key("grpc-status"), "the stream had started");
    server.probe.dropped().await;
    server.probe.dropped().await;
    server.metric(&handled("Do", "DEADLINE_EXCEEDED", "caller", 1)).await;
    server.metric(&handled("Watch", "DEADLINE_EXCEEDED", "caller", 1)).await;
}

#[tokio::test]
async fn the_servers_timeout_applies_to_calls_but_not_to_streams() {
    let server = start(GrpcConfig {
        server: ServerConfig { request_timeout: HumanDuration::from_secs(1), ..ServerConfig::default() },
        ..config()
    })
    .await;
    let client = server.client().await;
    let mut stream = client.watch("wait").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "one");
    server.probe.entered().await;

    let late = raw_call(server.addr, DO, &[("grpc-timeout", "1H")], "wait").await;
    assert_eq!(late.code(), i32::from(Code::DeadlineExceeded));
    server.probe.dropped().await;
    server.metric(&handled("Do", "DEADLINE_EXCEEDED", "server", 1)).await;

    server.probe.release();
    assert_eq!(stream.message().await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn a_rate_limit_is_the_callers_fault_and_says_when_to_retry() {
    let server = start(config()).await;
    let limited = server.client().await.call("limited").await.unwrap_err();
    assert_eq!((limited.code(), limited.message()), (Code::ResourceExhausted, "100 calls in an hour are allowed"));
    assert_eq!(limited.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(90)));
    let info = limited.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("rate_limited", "probe"));
    server.metric(&handled("Do", "RESOURCE_EXHAUSTED", "caller", 1)).await;
}

#[tokio::test]
async fn excess_calls_are_shed() {
    let server = start(one_at_a_time()).await;
    let client = server.client().await;
    let mut calls = JoinSet::new();
    let first = client.clone();
    calls.spawn(async move { first.call("wait").await });
    server.probe.entered().await;

    let shed = client.call("hello").await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    assert!(shed.get_details_retry_info().unwrap().retry_delay.is_some());
    server.metric(&handled("Do", "RESOURCE_EXHAUSTED", "server", 1)).await;
    let health = raw_call(server.addr, "/grpc.health.v1.Health/Check", &[], "").await;
    assert_eq!(health.code(), 0, "health checks are never shed");

    server.probe.release();
    assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap().into_inner(), "waited");
    server.metric(&handled("Do", "OK", "none", 1)).await;
    assert_eq!(client.call("hello").await.unwrap().into_inner(), "hello");
}

#[tokio::test]
async fn a_stream_occupies_its_permit_until_the_caller_disconnects() {
    let server = start(one_at_a_time()).await;
    let client = server.client().await;
    let stream = client.watch("wait").await.unwrap();
    server.probe.entered().await;
    assert_eq!(client.call("hello").await.unwrap_err().code(), Code::ResourceExhausted);

    drop(stream);
    server.probe.dropped().await;
    server.metric(&handled("Watch", "CANCELLED", "caller", 1)).await;
    assert_eq!(client.call("hello").await.unwrap().into_inner(), "hello");
}

#[tokio::test]
async fn panics_are_internal_errors_and_the_server_survives() {
    let server = start(config()).await;
    let client = server.client().await;
    let failed = client.call("panic").await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Internal, "internal error"));
    assert!(failed.get_details_request_info().is_some());

    let mut stream = client.watch("panic").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "one");
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);

    assert_eq!(client.call("hello").await.unwrap().into_inner(), "hello");
    server.metric(&handled("Do", "INTERNAL", "server", 1)).await;
    server.metric(&handled("Watch", "INTERNAL", "server", 1)).await;
}

#[tokio::test]
async fn streams_are_counted_at_their_end() {
    let server = start(config()).await;
    let client = server.client().await;
    let mut stream = client.watch("wait").await.unwrap();
    server.probe.entered().await;
    let running = format!(r#"grpc_server_in_flight{{method="Watch",service="{SERVICE}"}} "#);
    server.metric(&format!("{running}1")).await;
    assert!(!server.metrics().contains(r#"code="OK",method="Watch""#), "it has not ended");

    server.probe.release();
    while stream.message().await.unwrap().is_some() {}
    server.metric(&handled("Watch", "OK", "none", 1)).await;
    server.metric(&format!("{running}0")).await;

    let mut stream = client.watch("fail").await.unwrap();
    stream.message().await.unwrap();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::NotFound);
    server.metric(&handled("Watch", "NOT_FOUND", "caller", 1)).await;
}

#[tokio::test]
async fn unknown_methods_are_one_series() {
    let server = start(config()).await;
    let client = server.client().await;
    for path in ["/test.v1.Probe/Nope", "/test.v1.Nope/Do", "/x/y", "/test.v1.Probe/Do/z"] {
        let refused = client.call_path(path, Request::new(String::new())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
    server.metric(&handled("unknown", "UNIMPLEMENTED", "caller", 4)).await;
    assert!(!server.metrics().contains("Nope"));
}
