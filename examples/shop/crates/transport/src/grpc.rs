//! The gRPC service `shop.v1.ItemService`.

use kennel_core::Timestamp;
use kennel_grpc::{Reply, failed, items, page, respond, valid};
use shop_domain::{Item, ItemService};
use shop_proto::v1::{self as pb, item_service_server::ItemService as Rpc};
use tonic::Request;

/// The service over gRPC.
#[derive(Clone)]
pub struct ItemRpc(pub ItemService);

fn message(item: Item) -> pb::Item {
    pb::Item { id: item.id.to_string(), text: item.text.into(), created_at: Some(timestamp(item.created_at)) }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

#[tonic::async_trait]
impl Rpc for ItemRpc {
    async fn create_item(&self, new: Request<pb::CreateItemRequest>) -> Reply<pb::CreateItemResponse> {
        let item = self.0.create(valid("text", new.into_inner().text.try_into())?).await.map_err(failed)?;
        Ok(respond(pb::CreateItemResponse { item: Some(message(item)) }))
    }

    async fn get_item(&self, request: Request<pb::GetItemRequest>) -> Reply<pb::GetItemResponse> {
        let item = self.0.get(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::GetItemResponse { item: Some(message(item)) }))
    }

    async fn list_items(&self, request: Request<pb::ListItemsRequest>) -> Reply<pb::ListItemsResponse> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let (items, next_page_token) = items(self.0.list(after, size).await.map_err(failed)?, message);
        Ok(respond(pb::ListItemsResponse { items, next_page_token }))
    }

    async fn delete_item(&self, request: Request<pb::DeleteItemRequest>) -> Reply<pb::DeleteItemResponse> {
        self.0.delete(valid("id", request.get_ref().id.parse())?).await.map_err(failed)?;
        Ok(respond(pb::DeleteItemResponse {}))
    }
}
