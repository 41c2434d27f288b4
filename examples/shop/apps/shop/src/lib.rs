//! The application `shop`.

use std::sync::Arc;

use kennel_grpc::GrpcServer;
use kennel_service::{Context, EventSet, FromRef, NoCommand, OpenApiRouter, Service, Uses, Worker};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE, TOPIC};
use shop_proto::v1::{FILE_DESCRIPTOR_SET, item_service_server::ItemServiceServer};
use shop_transport::ItemRpc;
use shop_workers::{indexer, report};

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App(ItemService);

impl FromRef<App> for ItemService {
    fn from_ref(app: &App) -> Self {
        app.0.clone()
    }
}

impl Service for App {
    const NAME: &'static str = "shop";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::HTTP).and(Uses::GRPC).and(Uses::LIVE);
    const HTTP_NAME: &'static str = "web";
    const CONSUMERS: &'static [&'static str] = &["shop.indexer"];
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = ItemService;
    type Config = ();
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item").with::<ItemCreated>()
    }

    fn http() -> OpenApiRouter<ItemService> {
        shop_transport::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        Ok(Self(ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace)))
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        server.add_service(ItemServiceServer::new(ItemRpc(self.0.clone()))).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        Ok(vec![
            cx.consumer("shop.indexer", TOPIC, Arc::new(indexer::IndexerConsumer(self.0.clone()))).await?,
            Worker::new(report::report(self.0.clone())),
        ])
    }
}
