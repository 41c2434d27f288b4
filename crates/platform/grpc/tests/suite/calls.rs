//! What every call gets: a request id, a deadline, a place, an answer to a panic, details, metrics.

use std::time::Duration;

use crate::support::{SERVICE, config, frame, raw_call, raw_send, start};
use bytes::Bytes;
use kennel_grpc::GrpcConfig;
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

#[tokio::test]
async fn request_ids_are_kept_or_made_and_sent_back() {
    let server = start(config()).await;
    let kept = raw_call(server.addr, DO, &[("x-request-id", "mine-1")], "id").await;
    assert_eq!((kept.code(), kept.headers["x-request-id"].to_str().unwrap()), (0, "mine-1"));

    let made = server.client().await.call("id").await.unwrap();
    let id = made.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(made.into_inner(), id, "the handler sees the id that the caller gets");
    assert_eq!(id.len(), 36);
}

#[tokio::test]
async fn refusals_carry_details() {
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
async fn messages_that_cannot_be_decoded_are_the_callers_fault() {
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
    server.metric(&handled("Do", "INVALID_ARGUMENT", "caller", 3)).await;
    server.metric(&handled("Watch", "INVALID_ARGUMENT", "caller", 3)).await;
}

#[tokio::test]
async fn callers_deadlines_are_kept_and_the_work_is_dropped() {
    let server = start(config()).await;
    let headers = [("grpc-timeout", "1S")];
    let late = raw_call(server.addr, DO, &headers, "wait");
    let cut = raw_call(server.addr, WATCH, &headers, "wait");
    let (late, cut) = tokio::join!(late, cut);
    for answer in [&late, &cut] {
        assert_eq!(answer.code(), i32::from(Code::DeadlineExceeded));
    }
    assert!(late.headers.contains_key("grpc-status"));
    assert!(!cut.headers.contains_key("grpc-status"), "the stream had begun");
    server.probe.dropped().await;
    server.probe.dropped().await;
    server.metric(&handled("Do", "DEADLINE_EXCEEDED", "caller", 1)).await;
    server.metric(&handled("Watch", "DEADLINE_EXCEEDED", "caller", 1)).await;
}

#[tokio::test]
async fn the_servers_own_timeout_caps_calls_and_leaves_streams_alone() {
    let server = start(GrpcConfig { timeout: Duration::from_secs(1), ..config() }).await;
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
async fn more_calls_than_places_are_shed() {
    let server = start(GrpcConfig { max_in_flight: 1, ..config() }).await;
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
    assert_eq!(health.code(), 0, "health is answered all the same");

    server.probe.release();
    assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap().into_inner(), "waited");
    server.metric(&handled("Do", "OK", "none", 1)).await;
    assert_eq!(client.call("hello").await.unwrap().into_inner(), "hello");
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_its_caller_leaves() {
    let server = start(GrpcConfig { max_in_flight: 1, ..config() }).await;
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
async fn panics_are_answered_and_the_server_lives() {
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
