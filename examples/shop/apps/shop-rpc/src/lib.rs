//! The application `shop-rpc`.

use kennel_grpc::GrpcServer;
use kennel_service::{Context, EventSet, NoCommand, Service, Uses};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE};
use shop_proto::v1::{FILE_DESCRIPTOR_SET, item_service_server::ItemServiceServer};
use shop_transport::ItemRpc;

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App(ItemService);

impl Service for App {
    const NAME: &'static str = "shop-rpc";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::GRPC).and(Uses::LIVE);
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = Self;
    type Config = ();
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item").with::<ItemCreated>()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        Ok(Self(ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace)))
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(ItemServiceServer::new(ItemRpc(self.0.clone()))).descriptors(FILE_DESCRIPTOR_SET)
    }
}
