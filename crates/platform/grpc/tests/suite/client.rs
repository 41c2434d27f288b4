//! The client against real servers: balancing by health, deadlines, retries, traces, metrics.

use std::time::{Duration, Instant};

use kennel_app::Check as _;
use kennel_config::HumanDuration;
use kennel_core::{Backoff, ErrorKind, UuidV7};
use kennel_grpc::client::{GrpcClientTuning, Idempotent};
use kennel_grpc::{CallError, GrpcChannel, GrpcClientConfig, GrpcClientMetrics, GrpcConfig};
use kennel_net::{RequestContext, RequestId};
use opentelemetry::trace::{SpanKind, Status as SpanStatus};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request};
use tracing::Instrument as _;

use crate::support::{Client, Probe, Server, config, descriptors, raw_call, start};

const DO: &str = "/test.v1.Probe/Do";
const GET: &str = "/test.v1.Probe/Get";

pub(crate) struct TestClient {
    pub(crate) client: Client<GrpcChannel>,
    channel: GrpcChannel,
    registry: Registry,
}

pub(crate) fn settings(urls: impl IntoIterator<Item = String>) -> GrpcClientConfig {
    let short = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
    GrpcClientConfig {
        grpc_url: urls.into_iter().collect(),
        grpc_ca: None,
        grpc_timeout: HumanDuration::from_secs(10),
        grpc_api_key: None,
        tuning: GrpcClientTuning { reconnect: short, retry: short, ..GrpcClientTuning::default() },
    }
}

pub(crate) fn connect(config: &GrpcClientConfig) -> TestClient {
    let registry = Registry::new();
    let metrics = GrpcClientMetrics::register(&registry).unwrap();
    let channel = GrpcChannel::connect("probe", config, &[descriptors()], &metrics).unwrap();
    TestClient { client: Client(channel.clone()), channel, registry }
}

fn client_of(servers: &[&Server]) -> TestClient {
    connect(&settings(servers.iter().map(|server| server.url())))
}

impl TestClient {
    /// Waits until so many addresses are in this state.
    async fn addresses(&self, state: &str, count: usize) {
        self.metric(&format!(r#"grpc_client_addresses{{state="{state}",upstream="probe"}} {count}"#)).await;
    }

    async fn metric(&self, line: &str) {
        for _ in 0..2_000 {
            if self.metrics().contains(line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{line} is not in {}", self.metrics());
    }

    fn metrics(&self) -> String {
        kennel_telemetry::metrics::encode(&self.registry)
    }

    /// Makes so many calls, which must succeed.
    async fn call_times(&self, times: usize) {
        for _ in 0..times {
            self.client.call("hello").await.unwrap();
        }
    }
}

async fn serving() -> Server {
    let server = start(config()).await;
    server.health.open().await;
    server
}

async fn two() -> (Server, Server, TestClient) {
    let (one, other) = (serving().await, serving().await);
    let client = client_of(&[&one, &other]);
    client.addresses("serving", 2).await;
    (one, other, client)
}

fn context() -> RequestContext {
    RequestContext::new(RequestId::of(&http::HeaderMap::new(), &UuidV7))
}

#[tokio::test]
async fn one_of_two_servers_dies_and_comes_back() {
    let (one, other, client) = two().await;
    client.call_times(10).await;
    assert_eq!((one.probe.calls(), other.probe.calls()), (5, 5), "in turns");

    let port = one.addr.port();
    drop(one);
    let before = other.probe.calls();
    for _ in 0..20 {
        client.client.get("hello").await.unwrap();
    }
    assert_eq!(other.probe.calls() - before, 20, "a call that was under way is repeated");
    client.addresses("unreachable", 1).await;
    client.call_times(5).await;

    let back = start(GrpcConfig { grpc_port: port, ..config() }).await;
    back.health.open().await;
    client.addresses("serving", 2).await;
    client.call_times(10).await;
    assert_eq!(back.probe.calls(), 5);
}

#[tokio::test]
async fn a_server_that_is_not_ready_gets_no_calls() {
    let (one, other, client) = two().await;
    one.health.close();
    client.addresses("not_serving", 1).await;
    client.call_times(10).await;
    assert_eq!((one.probe.calls(), other.probe.calls()), (0, 10));
    client.channel.check().await.unwrap();

    other.health.close();
    client.addresses("not_serving", 2).await;
    let refused = client.client.get("hello").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "no address of the server is serving"));
    assert_eq!(client.channel.check().await.unwrap_err().to_string(), "no address of the server is serving");

    one.health.open().await;
    client.addresses("serving", 1).await;
    client.call_times(3).await;
    assert_eq!(one.probe.calls(), 3);
}

#[tokio::test]
async fn a_server_that_stops_gets_its_calls_completed_and_no_new_ones() {
    let (one, other, client) = two().await;
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let client = client.client.clone();
        calls.spawn(async move { client.call("wait").await });
    }
    one.probe.entered().await;
    one.health.close();
    one.stop.request();
    client.addresses("serving", 1).await;
    client.call_times(5).await;
    assert_eq!((one.probe.calls(), other.probe.calls()), (1, 6));
    one.probe.release();
    other.probe.release();
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap().unwrap().into_inner(), "waited");
    }
}

#[tokio::test]
async fn a_server_may_start_after_its_clients() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = connect(&settings([format!("http://{unused}")]));
    let refused = client.client.call("hello").await.unwrap_err();
    assert_eq!(CallError::from(refused).kind(), ErrorKind::Unavailable);
    let server = start(GrpcConfig { grpc_port: unused.port(), ..config() }).await;
    server.health.open().await;
    client.addresses("serving", 1).await;
    client.call_times(1).await;
}

#[tokio::test]
async fn a_call_without_an_address_makes_the_client_connect() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = settings([format!("http://{unused}")]);
    config.tuning.reconnect = Backoff::new(Duration::from_millis(1), Duration::from_hours(1));
    let client = connect(&config);
    // Each failed attempt doubles the pause before the next one, which is several minutes by then.
    for _ in 0..20 {
        client.client.call("hello").await.unwrap_err();
    }
    let server = start(GrpcConfig { grpc_port: unused.port(), ..self::config() }).await;
    server.health.open().await;
    client.call_times(1).await;
}

#[tokio::test]
async fn host_names_are_resolved() {
    let server = serving().await;
    let client = connect(&settings([format!("http://localhost:{}", server.addr.port())]));
    client.addresses("serving", 1).await;
    client.call_times(1).await;

    let unknown = connect(&settings(["http://no-such-host.invalid:1".to_owned()]));
    let refused = unknown.client.call("hello").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "the server has no address"));
}

#[tokio::test]
async fn a_server_without_health_checks_gets_calls_while_it_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tonic::transport::Server::builder().add_service(Probe::default());
    let mut running = JoinSet::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap() };
    running.spawn(plain.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped));
    let mut config = settings([format!("http://{address}")]);
    config.tuning.check_interval = Duration::from_millis(20);
    let client = connect(&config);
    client.addresses("serving", 1).await;
    client.call_times(2).await;
    stop.send(()).unwrap();
    client.addresses("unreachable", 1).await;
}

#[tokio::test]
async fn a_slow_call_is_cut_on_both_sides() {
    let server = serving().await;
    let client =
        connect(&GrpcClientConfig { grpc_timeout: HumanDuration::from_millis(300), ..settings([server.url()]) });
    let started = Instant::now();
    let late = client.client.call("wait").await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    server.probe.dropped().await;
    client.metric(r#"grpc_client_handled_total{code="DEADLINE_EXCEEDED",method="Do",service="test.v1.Probe",upstream="probe"} 1"#).await;
}

#[tokio::test]
async fn the_rest_of_the_surrounding_request_is_the_deadline() {
    let server = serving().await;
    let client = client_of(&[&server]);
    client.addresses("serving", 1).await;
    let remaining = async |client: &TestClient| -> u64 {
        client.client.call("deadline").await.unwrap().into_inner().parse().unwrap()
    };
    let alone = remaining(&client).await;
    assert!((9_000..=10_000).contains(&alone), "the configured timeout: {alone}");
    let surrounding = context();
    let at = tokio::time::Instant::now() + Duration::from_secs(5);
    surrounding.set_deadline(move || at);
    let within = surrounding.scope(remaining(&client)).await;
    assert!((4_000..=4_980).contains(&within), "with a margin: {within}");

    let over = context();
    over.set_deadline(tokio::time::Instant::now);
    let calls = server.probe.calls();
    let late = over.scope(client.client.call("hello")).await.unwrap_err();
    assert_eq!((late.code(), server.probe.calls() - calls), (Code::DeadlineExceeded, 0));
}

#[tokio::test]
async fn a_server_forwards_deadline_and_request_id_to_the_next() {
    let (front, back) = (serving().await, serving().await);
    let client = client_of(&[&back]);
    front.probe.relay_to(client.client.clone());
    let headers = [("grpc-timeout", "5S"), ("x-request-id", "r-1")];
    let remaining = raw_call(front.addr, DO, &headers, "relay deadline").await.message();
    let remaining: u64 = remaining.parse().unwrap();
    assert!((3_000..=4_980).contains(&remaining), "{remaining}");
    assert_eq!(raw_call(front.addr, DO, &headers, "relay id").await.message(), "r-1");
}

#[tokio::test]
async fn idempotent_calls_are_retried() {
    let server = serving().await;
    let client = client_of(&[&server]);
    server.probe.fail_times(2);
    assert_eq!(client.client.get("flaky").await.unwrap().into_inner(), "flaky");
    client.metric(r#"grpc_client_retries_total{method="Get",service="test.v1.Probe",upstream="probe"} 2"#).await;

    server.probe.fail_times(1);
    assert_eq!(client.client.call("flaky").await.unwrap_err().code(), Code::Unavailable, "not idempotent");
    server.probe.fail_times(1);
    let mut request = Request::new("flaky".to_owned());
    request.extensions_mut().insert(Idempotent);
    client.client.call_path(DO, request).await.unwrap();

    server.probe.fail_times(99);
    let calls = server.probe.calls();
    assert_eq!(client.client.get("flaky").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.probe.calls() - calls, 3, "the number of attempts is limited");
}

#[tokio::test]
async fn retries_have_a_budget() {
    let server = serving().await;
    let mut config = settings([server.url()]);
    config.tuning.retry_budget = 1;
    let client = connect(&config);
    server.probe.fail_times(99);
    for _ in 0..5 {
        client.client.get("flaky").await.unwrap_err();
    }
    assert_eq!(server.probe.calls(), 6, "five calls and one retry");
}

#[tokio::test]
async fn other_failures_are_not_retried_and_keep_their_details() {
    let server = serving().await;
    let client = client_of(&[&server]);
    let error = CallError::from(client.client.get("invalid").await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.fields(), [("word".to_owned(), "must be another".to_owned())]);
    let error = CallError::from(client.client.get("limited").await.unwrap_err());
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(90))));
    assert_eq!(server.probe.calls(), 2);
}

#[tokio::test]
async fn streams_are_not_limited_and_count_at_their_end() {
    let server = serving().await;
    let client =
        connect(&GrpcClientConfig { grpc_timeout: HumanDuration::from_millis(100), ..settings([server.url()]) });
    let counted = |code: &str, count: u32| {
        format!(
            r#"grpc_client_handled_total{{code="{code}",method="Watch",service="test.v1.Probe",upstream="probe"}} {count}"#
        )
    };
    let mut stream = client.client.watch("wait").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "one");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        client
            .metrics()
            .contains(r#"grpc_client_in_flight{method="Watch",service="test.v1.Probe",upstream="probe"} 1"#)
    );
    server.probe.release();
    assert_eq!(stream.message().await.unwrap().unwrap(), "two");
    assert_eq!(stream.message().await.unwrap(), None);
    client.metric(&counted("OK", 1)).await;

    let surrounding = context();
    let at = tokio::time::Instant::now() + Duration::from_millis(300);
    surrounding.set_deadline(move || at);
    let mut stream = surrounding.scope(client.client.watch("wait")).await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "one");
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded, "with its request");
    client.metric(&counted("DEADLINE_EXCEEDED", 1)).await;

    drop(client.client.watch("wait").await.unwrap());
    client.metric(&counted("CANCELLED", 1)).await;
}

#[tokio::test]
async fn a_call_joins_the_trace() {
    let (_subscribed, spans) = kennel_testkit::spans::record();
    let server = serving().await;
    let client = client_of(&[&server]);
    let work = tracing::info_span!("work");
    client.client.call("hello").instrument(work.clone()).await.unwrap();
    client.client.call("invalid").instrument(work.clone()).await.unwrap_err();
    drop(work);
    server.metric(r#"grpc_server_handled_total{code="INVALID_ARGUMENT",fault="caller",method="Do""#).await;

    let spans = spans.get_finished_spans().unwrap();
    let of = |kind: SpanKind| spans.iter().filter(move |span| span.span_kind == kind).collect::<Vec<_>>();
    let (clients, servers) = (of(SpanKind::Client), of(SpanKind::Server));
    let work = spans.iter().find(|span| span.name == "work").unwrap();
    assert_eq!((clients.len(), servers.len()), (2, 2), "health checks create no span");
    for span in &clients {
        assert_eq!(span.name, "test.v1.Probe/Do");
        assert_eq!(span.parent_span_id, work.span_context.span_id());
        let received = servers.iter().find(|server| server.parent_span_id == span.span_context.span_id()).unwrap();
        assert_eq!(received.span_context.trace_id(), work.span_context.trace_id());
        let port = span.attributes.iter().find(|pair| pair.key.as_str() == "server.port").unwrap();
        assert_eq!(port.value.to_string(), server.addr.port().to_string());
    }
    let failed = clients.iter().filter(|span| matches!(span.status, SpanStatus::Error { .. })).count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn names_of_metrics_are_pinned() {
    let server = serving().await;
    let client = client_of(&[&server]);
    client.client.get("hello").await.unwrap();
    client.client.call_path("/test.v1.Probe/Nope", Request::new(String::new())).await.unwrap_err();
    for line in [
        r#"grpc_client_handled_total{code="OK",method="Get",service="test.v1.Probe",upstream="probe"} 1"#,
        r#"grpc_client_handled_total{code="UNIMPLEMENTED",method="unknown",service="unknown",upstream="probe"} 1"#,
        r#"grpc_client_handling_seconds_count{method="Get",service="test.v1.Probe",type="unary",upstream="probe"} 1"#,
        r#"grpc_client_in_flight{method="Get",service="test.v1.Probe",upstream="probe"} 0"#,
        r#"grpc_client_addresses{state="serving",upstream="probe"} 1"#,
        r#"grpc_client_addresses{state="unreachable",upstream="probe"} 0"#,
    ] {
        client.metric(line).await;
    }
}

#[test]
fn invalid_settings_are_reported() {
    let metrics = GrpcClientMetrics::register(&Registry::new()).unwrap();
    for (url, expected) in [
        (None, "GRPC_URL (not set): must be set, such as http://localhost:50051"),
        (Some("ftp://a:1"), "GRPC_URL (not set): must be URLs such as http://localhost:50051, not \"ftp://a:1\""),
    ] {
        let config = settings(url.map(str::to_owned));
        let error = GrpcChannel::connect("probe", &config, &[], &metrics).unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), expected);
    }
}

#[tokio::test]
async fn handlers_know_the_principal_and_spans_only_its_id() {
    let (_subscribed, spans) = kennel_testkit::spans::record();
    let server = serving().await;
    assert_eq!(raw_call(server.addr, DO, &[], "principal").await.message(), "nobody");
    let authenticated = [("x-test-subject", "user-1")];
    let answer = raw_call(server.addr, GET, &authenticated, "principal").await.message();
    assert_eq!(answer, "user-1 may write: true");
    server.metric(r#"grpc_server_handled_total{code="OK",fault="none",method="Get""#).await;
    let spans = spans.get_finished_spans().unwrap();
    let ids: Vec<_> =
        spans.iter().flat_map(|span| &span.attributes).filter(|a| a.key.as_str() == "enduser.id").collect();
    assert_eq!(ids.iter().map(|id| id.value.to_string()).collect::<Vec<_>>(), ["user-1"]);
    assert!(!format!("{spans:?}").contains("probe:write"));
}
