//! The server component: health, reflection, startup and shutdown.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{SERVICE, Server, config, start};
use kennel_app::{Component as _, Health};
use kennel_core::UuidV7;
use kennel_grpc::{GrpcConfig, GrpcMetrics, GrpcServer};
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn check(server: &Server, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(server.channel().await).check(request).await;
    answer.map(|status| status.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_checks_follow_readiness() {
    let server = start(config()).await;
    for service in ["", SERVICE] {
        assert_eq!(check(&server, service).await, Ok(ServingStatus::NotServing), "{service}");
    }
    server.health.open().await;
    for service in ["", SERVICE] {
        assert_eq!(check(&server, service).await, Ok(ServingStatus::Serving), "{service}");
    }
    server.health.close();
    assert_eq!(check(&server, "").await, Ok(ServingStatus::NotServing));
    assert_eq!(check(&server, "no.Such").await, Err(Code::NotFound));
}

#[tokio::test]
async fn health_watches_follow_readiness() {
    let server = start(config()).await;
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", SERVICE] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut statuses = health.watch(request).await.unwrap().into_inner();
        let mut next = async || statuses.message().await.unwrap().unwrap().status();
        assert_eq!(next().await, ServingStatus::NotServing);
        server.health.open().await;
        assert_eq!(next().await, ServingStatus::Serving);
        server.health.close();
        assert_eq!(next().await, ServingStatus::NotServing);
    }
    let request = HealthCheckRequest { service: "no.Such".to_owned() };
    let mut statuses = health.watch(request).await.unwrap().into_inner();
    assert_eq!(statuses.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
}

/// Lists the names of the services with one version of reflection.
macro_rules! services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let pb::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
            panic!("{answer:?}")
        };
        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        names.sort();
        names
    }};
}

#[tokio::test]
async fn reflection_lists_every_service() {
    let server = start(config()).await;
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE,
    ];
    assert_eq!(services!(v1, server.channel().await), expected);
    assert_eq!(services!(v1alpha, server.channel().await), expected);
}

#[tokio::test]
async fn a_graceful_shutdown_waits_for_calls_and_ends_streams() {
    let mut server = start(config()).await;
    let client = server.client().await;
    let mut calls = JoinSet::new();
    let call = client.clone();
    calls.spawn(async move { call.call("wait").await });
    server.probe.entered().await;
    let mut stream = client.watch("wait").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "one");
    server.probe.entered().await;

    server.stop.request();
    let aborted = stream.message().await.unwrap_err();
    assert_eq!(aborted.code(), Code::Unavailable);
    server.metric(r#"grpc_server_handled_total{code="UNAVAILABLE",fault="none",method="Watch""#).await;
    server.probe.dropped().await;
    assert!(TcpStream::connect(server.addr).await.is_err(), "new connections are refused");

    server.probe.release();
    assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap().into_inner(), "waited");
    server.ended().await.unwrap();
}

#[tokio::test]
async fn an_abort_drops_calls() {
    let mut server = start(config()).await;
    let client = server.client().await;
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.call("wait").await });
    server.probe.entered().await;

    server.stop.request();
    server.stop.abort();
    server.ended().await.unwrap();
    server.probe.dropped().await;
    assert!(calls.join_next().await.unwrap().unwrap().is_err());
    server.metric(r#"grpc_server_handled_total{code="CANCELLED",fault="caller",method="Do""#).await;
    server.metric("grpc_server_connections 0").await;
}

#[tokio::test]
async fn silent_connections_do_not_delay_a_shutdown() {
    let mut server = start(config()).await;
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    let mut partial = TcpStream::connect(server.addr).await.unwrap();
    partial.write_all(b"PRI * HTTP/2").await.unwrap();
    server.metric("grpc_server_connections 2").await;
    server.stop.request();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let server = start(GrpcConfig { keepalive_timeout: Duration::from_millis(50), ..config() }).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    server.metric("grpc_server_connections 0").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start(GrpcConfig { max_connections: 1, ..config() }).await;
    let first = server.client().await;
    first.call("hello").await.unwrap();
    let mut calls = JoinSet::new();
    let addr = server.addr;
    calls.spawn(async move { crate::support::raw_call(addr, "/test.v1.Probe/Do", &[], "hello").await.code() });
    first.call("hello").await.unwrap();
    assert!(calls.try_join_next().is_none());
    drop(first);
    assert_eq!(calls.join_next().await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_cannot_start_reports_why() {
    let server = start(config()).await;
    let again = |config| {
        let metrics = GrpcMetrics::register(&Registry::new()).unwrap();
        GrpcServer::new("grpc", config, Health::new(), Arc::new(UuidV7), metrics)
    };
    let in_use = again(GrpcConfig { grpc_port: server.addr.port(), ..config() }).init().await.unwrap_err();
    assert_eq!(in_use.to_string(), format!("cannot listen on {}", server.addr));
    let invalid = again(config()).descriptors(b"nonsense").init().await.unwrap_err();
    assert_eq!(invalid.to_string(), "cannot decode descriptors");
}
