//! The span of a call.

use crate::support::{config, raw_call, start};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
}

#[tokio::test]
async fn calls_are_children_of_their_caller() {
    let (_subscribed, spans) = kennel_testkit::spans::record();

    let server = start(config()).await;
    let headers = [("traceparent", PARENT), ("x-request-id", "r-1")];
    raw_call(server.addr, "/test.v1.Probe/Do", &headers, "hello").await;
    raw_call(server.addr, "/test.v1.Probe/Watch", &headers, "panic").await;
    raw_call(server.addr, "/grpc.health.v1.Health/Check", &headers, "").await;
    server.metric(r#"grpc_server_handled_total{code="INTERNAL",fault="server",method="Watch""#).await;

    let spans = spans.get_finished_spans().unwrap();
    let mut calls: Vec<_> = spans.iter().filter(|span| span.span_kind == SpanKind::Server).collect();
    calls.sort_by_key(|span| span.name.clone());
    let names: Vec<_> = calls.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["test.v1.Probe/Do", "test.v1.Probe/Watch"], "health checks create no span");
    for span in &calls {
        assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(attribute(span, "rpc.system").as_deref(), Some("grpc"));
        assert_eq!(attribute(span, "rpc.service").as_deref(), Some("test.v1.Probe"));
        assert_eq!(attribute(span, "request_id").as_deref(), Some("r-1"));
    }
    assert_eq!(attribute(calls[0], "rpc.method").as_deref(), Some("Do"));
    assert_eq!(attribute(calls[0], "rpc.grpc.status_code").as_deref(), Some("0"));
    assert_eq!(calls[0].status, Status::Unset);
    assert_eq!(attribute(calls[1], "rpc.grpc.status_code").as_deref(), Some("13"));
    assert!(matches!(calls[1].status, Status::Error { .. }), "{:?}", calls[1].status);
}
