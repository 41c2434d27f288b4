//! Server and client with TLS.

use std::path::PathBuf;
use std::sync::Arc;

use kennel_config::Section as _;
use kennel_core::SystemClock;
use kennel_grpc::client::ConnectError;
use kennel_grpc::{GrpcChannel, GrpcClientConfig, GrpcClientMetrics};
use kennel_net::{ServerTls, TlsConfig, TlsMetrics};
use kennel_testkit::certificates::Authority;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::client::{connect, settings};
use crate::support::{Server, config, start_with_tls};

async fn serving(authority: &Authority) -> Server {
    authority.install(&authority.issue(2090));
    let files = TlsConfig {
        tls_cert: Some(authority.certificate_file()),
        tls_key: Some(authority.key_file()),
        ..TlsConfig::default()
    };
    let metrics = TlsMetrics::register(&Registry::new()).unwrap();
    let tls = ServerTls::load(&files, Arc::new(SystemClock), metrics).unwrap();
    let server = start_with_tls(config(), tls).await;
    server.health.open().await;
    server
}

fn client(server: &Server, ca: Option<PathBuf>) -> GrpcClientConfig {
    let url = format!("https://localhost:{}", server.addr.port());
    GrpcClientConfig { grpc_ca: ca, ..settings([url]) }
}

#[tokio::test]
async fn calls_and_streams_work_over_tls() {
    let authority = Authority::new();
    let server = serving(&authority).await;
    let client = connect(&client(&server, Some(authority.ca_file()))).client;
    client.call("hello").await.unwrap();
    let mut stream = client.watch("hello").await.unwrap();
    assert!(stream.message().await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_gets_no_calls() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serving(&authority).await;
    for ca in [Some(other.ca_file()), None] {
        let client = connect(&client(&server, ca)).client;
        assert_eq!(client.call("hello").await.unwrap_err().code(), Code::Unavailable);
    }
    let plain = connect(&settings([server.url()])).client;
    assert_eq!(plain.call("hello").await.unwrap_err().code(), Code::Unavailable);
}

/// Why a client with this text as its CA certificates is refused.
fn refusal(text: &str) -> String {
    let authority = Authority::new();
    std::fs::write(authority.ca_file(), text).unwrap();
    let url = "https://localhost:1".to_owned();
    let config = GrpcClientConfig { grpc_ca: Some(authority.ca_file()), ..settings([url]) };
    let metrics = GrpcClientMetrics::register(&Registry::new()).unwrap();
    match GrpcChannel::connect("probe", &config, &[], &metrics).unwrap_err() {
        ConnectError::Tls { source, .. } => source.to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn ca_certificates_that_cannot_be_used_are_an_error_at_once() {
    assert_eq!(refusal(""), "there is no CA certificate in PEM");
    assert_eq!(refusal("hunter2"), "there is no CA certificate in PEM");
    let text = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    assert_eq!(refusal(text), "a CA certificate cannot be used");
}

#[test]
fn ca_certificates_need_a_url_with_tls() {
    let authority = Authority::new();
    let of = |urls: &[&str]| GrpcClientConfig {
        grpc_ca: Some(authority.ca_file()),
        ..settings(urls.iter().map(|&url| url.to_owned()))
    };
    let error = of(&["http://a:1"]).validate().unwrap_err().to_string();
    assert!(error.contains("GRPC_CA (not set): has no effect without a https URL"), "{error}");
    of(&["http://a:1", "https://b:1"]).validate().unwrap();
}

#[tokio::test]
async fn a_connection_without_tls_is_closed() {
    let authority = Authority::new();
    let server = serving(&authority).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is possible too.
    stream.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(&[0, 0]), "no frame of HTTP/2");
}
