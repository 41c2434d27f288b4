//! The program with its default store and the in-process broker, as clients use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::Value;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("PROMETHEUS_PORT", "0"),
        ("SERVER_PORT", "0"),
        ("PAYMENTS_API_URL", "http://localhost:1"),
        ("PAYMENTS_API_CREDENTIAL", "test"),
    ];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-orders"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    api(&format!("http://{}", process.listener("http").await)).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// The document and its operations are served.
async fn api(url: &str) {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let document: Value = client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/categories", "/orders", "/orders/{id}"]);
    for (method, path) in [
        ("GET", "/v1/orders"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders/1"),
        ("PATCH", "/v1/orders/1"),
        ("DELETE", "/v1/orders/1"),
        ("GET", "/v1/categories"),
    ] {
        let method = method.parse().unwrap();
        let response = client.request(method, format!("{url}{path}")).send().await.unwrap();
        assert_ne!(response.status(), 405, "{path}");
    }
}
