//! TLS: HTTP/1.1 and HTTP/2, certificates that are replaced under open connections, and clients that do not behave.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use kennel_app::{Component as _, Stop};
use kennel_core::{Clock, SystemClock, Timestamp};
use kennel_net::tls::CertificateError;
use kennel_net::{CertificateReload, ServerTls, TlsConfig, TlsMetrics, TlsTuning};
use kennel_telemetry::metrics::encode;
use kennel_testkit::certificates::Authority;
use prometheus::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{self, Server, wait_until};

/// A year far in the future.
const YEAR: i32 = 2090;

struct Fixture {
    authority: Authority,
    tls: ServerTls,
    registry: Registry,
}

fn config(authority: &Authority) -> TlsConfig {
    TlsConfig {
        tls_cert: Some(authority.certificate_file()),
        tls_key: Some(authority.key_file()),
        ..TlsConfig::default()
    }
}

fn load(config: &TlsConfig) -> (Result<Option<ServerTls>, CertificateError>, Registry) {
    let registry = Registry::new();
    let metrics = TlsMetrics::register(&registry).unwrap();
    (ServerTls::load(config, Arc::new(SystemClock), metrics), registry)
}

fn tls_with(tuning: TlsTuning, client_ca: Option<&Path>) -> Fixture {
    let authority = Authority::new();
    authority.install(&authority.issue(YEAR));
    let tls_client_ca = client_ca.map(Path::to_owned);
    let (tls, registry) = load(&TlsConfig { tuning, tls_client_ca, ..config(&authority) });
    Fixture { tls: tls.unwrap().unwrap(), authority, registry }
}

impl Fixture {
    async fn serve(&self) -> Server {
        let router = Router::new().route("/", get(async || "hello"));
        Server::with_tls(router, &harness::config(), Some(self.tls.clone())).await
    }

    fn metric(&self, line: &str) -> bool {
        encode(&self.registry).contains(line)
    }

    async fn connect(&self, server: &Server, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        connect(&self.authority, server, protocol, None).await
    }
}

/// Connects as a client that trusts the authority, and has a certificate if `own` has issued one.
async fn connect(
    trusted: &Authority,
    server: &Server,
    protocol: &[u8],
    own: Option<&Authority>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let issued = own.issue(YEAR);
            let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.addr).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Sends a request, and returns the response with its body, `hello`.
async fn hello(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut response = Vec::new();
    while !response.ends_with(b"hello") {
        if stream.read_buf(&mut response).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8(response).unwrap())
}

fn presented(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    let tls = tls_with(TlsTuning::default(), None);
    let server = tls.serve().await;
    let mut old = tls.connect(&server, b"http/1.1").await.unwrap();
    assert!(hello(&mut old).await.unwrap().starts_with("HTTP/1.1 200"));
    let ca = reqwest::Certificate::from_pem(&std::fs::read(tls.authority.ca_file()).unwrap()).unwrap();
    let client = harness::client_builder().tls_certs_only([ca]).build().unwrap();
    let url = format!("https://localhost:{}/", server.addr.port());
    let response = client.get(url).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (http::Version::HTTP_2, "hello"));
    assert!(tls.metric(r#"tls_handshakes_total{outcome="ok"} 2"#));
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_is_replaced_under_open_connections() {
    let tuning = TlsTuning { reload_interval: Duration::from_millis(5), ..TlsTuning::default() };
    let tls = tls_with(tuning, None);
    let (server, stop) = (tls.serve().await, Stop::new());
    let reload = Box::new(CertificateReload::new(tls.tls.clone())).run(stop.clone());
    let mut reloads = JoinSet::from_iter([reload]);
    let mut open = tls.connect(&server, b"http/1.1").await.unwrap();
    hello(&mut open).await.unwrap();

    tls.authority.install(&tls.authority.issue(YEAR + 1));
    wait_until(|| tls.metric(r#"tls_certificate_reloads_total{outcome="ok"} 1"#)).await;
    hello(&mut open).await.unwrap();
    let mut new = tls.connect(&server, b"http/1.1").await.unwrap();
    hello(&mut new).await.unwrap();
    assert_ne!(presented(&open), presented(&new));

    // The key of another certificate, as while files are replaced one after the other.
    std::fs::write(tls.authority.key_file(), tls.authority.issue(YEAR).key).unwrap();
    wait_until(|| tls.metric("tls_certificate_refused 1")).await;
    let still = tls.connect(&server, b"http/1.1").await.unwrap();
    assert_eq!(presented(&still), presented(&new), "the current certificate stays");
    tls.authority.install(&tls.authority.issue(YEAR + 2));
    wait_until(|| tls.metric("tls_certificate_refused 0")).await;
    stop.request();
    reloads.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn certificates_that_clients_would_refuse_are_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (valid, config) = (authority.issue(YEAR), config(&authority));
    let reason = |certificate: &str, key: &str| {
        std::fs::write(authority.certificate_file(), certificate).unwrap();
        std::fs::write(authority.key_file(), key).unwrap();
        load(&config).0.map(|_| ()).unwrap_err().to_string()
    };
    let expired = authority.issue(2021);
    assert_eq!(reason(&expired.certificate, &expired.key), "the certificate has expired");
    assert_eq!(reason(&valid.certificate, &other.issue(YEAR).key), "certificate and key cannot be used");
    assert_eq!(reason("", &valid.key), "there is no certificate in PEM");
    assert_eq!(reason(&valid.certificate, "hunter2"), "there is no private key in PEM");
    std::fs::remove_file(authority.key_file()).unwrap();
    assert!(matches!(load(&config).0, Err(CertificateError::Read { .. })));
    assert!(load(&TlsConfig::default()).0.unwrap().is_none(), "no TLS is no error");
    authority.install(&valid);
    let (tls, registry) = load(&config);
    assert!(!tls.unwrap().unwrap().reload().unwrap(), "nothing has changed");
    let metrics = encode(&registry);
    assert!(metrics.contains("tls_certificate_expiry_timestamp_seconds 381"), "{metrics}");
}

/// A clock that a test moves.
struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

#[tokio::test]
async fn a_certificate_that_becomes_valid_is_used() {
    let authority = Authority::new();
    authority.install(&authority.issue(YEAR));
    let registry = Registry::new();
    let clock = Arc::new(MovedClock(AtomicI64::new(1_600_000_000_000)));
    let metrics = TlsMetrics::register(&registry).unwrap();
    let tls = ServerTls::load(&config(&authority), Arc::<MovedClock>::clone(&clock), metrics).unwrap().unwrap();
    authority.install(&authority.issue_between(2030, YEAR));
    let refused = |count| {
        let metrics = encode(&registry);
        metrics.contains("tls_certificate_refused 1")
            && metrics.contains(&format!(r#"tls_certificate_reloads_total{{outcome="error"}} {count}"#))
    };
    assert_eq!(tls.reload().unwrap_err().to_string(), "the certificate is not valid yet");
    assert!(!tls.reload().unwrap() && refused(1), "it is reported once");
    std::fs::rename(authority.key_file(), authority.ca_file()).unwrap();
    assert!(matches!(tls.reload(), Err(CertificateError::Read { .. })), "another reason is reported");
    assert!(!tls.reload().unwrap() && refused(2));
    std::fs::rename(authority.ca_file(), authority.key_file()).unwrap();
    tls.reload().unwrap_err();
    clock.0.store(1_900_000_000_000, Ordering::Relaxed);
    assert!(tls.reload().unwrap());
    assert!(encode(&registry).contains("tls_certificate_refused 0"));
}

#[test]
fn unusable_ca_certificates_of_clients_are_reported_as_such() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.install(&authority.issue(YEAR));
    let config = TlsConfig { tls_client_ca: Some(other.ca_file()), ..config(&authority) };
    for text in ["", "hunter2", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"] {
        std::fs::write(other.ca_file(), text).unwrap();
        let error = load(&config).0.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "the CA certificates of clients cannot be used");
    }
}

#[tokio::test]
async fn a_request_without_tls_is_told_what_is_wrong() {
    let tls = tls_with(TlsTuning::default(), None);
    let server = tls.serve().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n") && response.contains("needs TLS"), "{response}");
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&[0; 100]).await.unwrap();
    // Closed, perhaps with a reset.
    assert!(!matches!(stream.read(&mut [0; 10]).await, Ok(1..)));
    wait_until(|| tls.metric(r#"tls_handshakes_total{outcome="without_tls"} 2"#)).await;
    // Whom the client does not trust, it does not talk to.
    assert!(connect(&Authority::new(), &server, b"h2", None).await.is_err());
    wait_until(|| tls.metric(r#"tls_handshakes_total{outcome="failed"} 1"#)).await;
}

#[tokio::test]
async fn slow_handshakes_end_and_block_no_others() {
    let tuning = TlsTuning { handshake_timeout: Duration::from_secs(2), ..TlsTuning::default() };
    let tls = tls_with(tuning, None);
    let server = tls.serve().await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut open = tls.connect(&server, b"http/1.1").await.unwrap();
    hello(&mut open).await.unwrap();
    // The beginning of a record, and nothing else.
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&[0x16, 3, 1]).await.unwrap();
        slow.push(stream);
    }
    let mut meanwhile = tls.connect(&server, b"http/1.1").await.unwrap();
    hello(&mut meanwhile).await.unwrap();
    for stream in slow.iter_mut().chain([&mut silent]) {
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0, "it is closed");
    }
    wait_until(|| tls.metric(r#"tls_handshakes_total{outcome="timeout"} 301"#)).await;
    let mut later = tls.connect(&server, b"http/1.1").await.unwrap();
    hello(&mut later).await.unwrap();
    hello(&mut open).await.unwrap();
    let _unfinished = TcpStream::connect(server.addr).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn clients_need_a_certificate_if_their_ca_is_known() {
    let clients = Authority::new();
    let tls = tls_with(TlsTuning::default(), Some(&clients.ca_file()));
    let server = tls.serve().await;
    let mut known = connect(&tls.authority, &server, b"http/1.1", Some(&clients)).await.unwrap();
    hello(&mut known).await.unwrap();
    for unknown in [None, Some(&tls.authority)] {
        // With TLS 1.3 the client learns it when it reads.
        let refused = match connect(&tls.authority, &server, b"http/1.1", unknown).await {
            Ok(mut stream) => hello(&mut stream).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
}
