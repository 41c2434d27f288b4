//! The gRPC service `shop.v1.ItemService`.

use kennel_core::Timestamp;
use kennel_grpc::{Details, fault, invalid, page, respond};
use shop_domain::{InvalidItemText, Item, ItemError, ItemId, ItemService};
use shop_proto::v1::{self as pb, item_service_server::ItemService as Rpc};
use tonic::{Request, Response, Status};

/// The service over gRPC.
#[derive(Clone)]
pub struct ItemRpc(pub ItemService);

fn item_id(text: &str) -> Result<ItemId, Status> {
    text.parse().map_err(|error: uuid::Error| invalid("id", &error))
}

fn failed(error: &ItemError) -> Status {
    fault(error.kind(), error, Details::default())
}

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
    async fn create_item(
        &self,
        new: Request<pb::CreateItemRequest>,
    ) -> Result<Response<pb::CreateItemResponse>, Status> {
        let text = new.into_inner().text.try_into().map_err(|error: InvalidItemText| invalid("text", &error))?;
        let created = self.0.create(text).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::CreateItemResponse { item: Some(message(created)) }))
    }

    async fn get_item(&self, request: Request<pb::GetItemRequest>) -> Result<Response<pb::GetItemResponse>, Status> {
        let found = self.0.get(item_id(&request.get_ref().id)?).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::GetItemResponse { item: Some(message(found)) }))
    }

    async fn list_items(
        &self,
        request: Request<pb::ListItemsRequest>,
    ) -> Result<Response<pb::ListItemsResponse>, Status> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let page = self.0.list(after, size).await.map_err(|error| failed(&error))?;
        let next_page_token = page.next.map(|cursor| cursor.to_string()).unwrap_or_default();
        Ok(respond(pb::ListItemsResponse { items: page.items.into_iter().map(message).collect(), next_page_token }))
    }

    async fn delete_item(
        &self,
        request: Request<pb::DeleteItemRequest>,
    ) -> Result<Response<pb::DeleteItemResponse>, Status> {
        self.0.delete(item_id(&request.get_ref().id)?).await.map_err(|error| failed(&error))?;
        Ok(respond(pb::DeleteItemResponse {}))
    }
}
