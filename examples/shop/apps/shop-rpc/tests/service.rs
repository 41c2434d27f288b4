//! The program with its default store and the in-process broker, as clients use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
use shop_proto::v1::item_service_client::ItemServiceClient;
use shop_proto::v1::{CreateItemRequest, DeleteItemRequest, GetItemRequest, ListItemsRequest};
use tonic::Code;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROMETHEUS_PORT", "0"), ("GRPC_PORT", "0")];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-rpc"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    grpc(format!("http://{}", process.listener("grpc").await)).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
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
