//! The program with its default store and the in-process broker, as clients use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
use shop_proto::billing::v1::billing_service_client::BillingServiceClient;
use tonic::Code;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROMETHEUS_PORT", "0"), ("CATALOG_GRPC_URL", "http://localhost:1"), ("GRPC_PORT", "0")];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-billing"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    services(&format!("http://{}", process.listener("grpc").await)).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Every service is there; change this together with the implementation of its methods.
async fn services(url: &str) {
    let mut client = BillingServiceClient::connect(url.to_owned()).await.unwrap();
    let refused = client.create_invoice(shop_proto::billing::v1::CreateInvoiceRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
}
