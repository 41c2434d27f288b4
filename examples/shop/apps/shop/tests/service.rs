//! The program with its default store and the in-process broker, as clients use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::{Value, json};
use shop_proto::v1::item_service_client::ItemServiceClient;
use shop_proto::v1::{CreateItemRequest, DeleteItemRequest, GetItemRequest, ListItemsRequest};
use tonic::Code;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROMETHEUS_PORT", "0"), ("SERVER_PORT", "0"), ("GRPC_PORT", "0")];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    rest(&format!("http://{}/api/v1/items", process.listener("http").await)).await;
    grpc(format!("http://{}", process.listener("grpc").await)).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

async fn rest(url: &str) {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let refused = client.post(url).json(&json!({ "text": " " })).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let created = client.post(url).json(&json!({ "text": "one" })).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    let page: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["items"], json!([created]));

    let one = format!("{url}/{}", created["id"].as_str().unwrap());
    let found: Value = client.get(&one).send().await.unwrap().json().await.unwrap();
    assert_eq!(found, created);
    assert_eq!(client.delete(&one).send().await.unwrap().status(), 204);
    assert_eq!(client.get(&one).send().await.unwrap().status(), 404);
}

async fn grpc(url: String) {
    let mut client = ItemServiceClient::connect(url).await.unwrap();
    let refused = client.create_item(CreateItemRequest { text: " ".to_owned() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let created = client.create_item(CreateItemRequest { text: "one".to_owned() }).await.unwrap();
    let created = created.into_inner().item.unwrap();
    let page = client.list_items(ListItemsRequest::default()).await.unwrap().into_inner();
    assert_eq!((page.items, page.next_page_token.as_str()), (vec![created.clone()], ""));

    let id = created.id.clone();
    let found = client.get_item(GetItemRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!(found.item, Some(created));
    client.delete_item(DeleteItemRequest { id: id.clone() }).await.unwrap();
    assert_eq!(client.get_item(GetItemRequest { id }).await.unwrap_err().code(), Code::NotFound);
}
