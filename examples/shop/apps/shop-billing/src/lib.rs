//! The application `shop-billing`.

mod settings;

use kennel_grpc::{GrpcChannel, GrpcServer};
use kennel_service::{Context, EventSet, NoCommand, Service, Uses};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE};
use shop_proto::FILE_DESCRIPTOR_SET;
use shop_proto::billing::v1::billing_service_server::BillingServiceServer;
use shop_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use shop_transport::billing::BillingRpc;

pub use settings::AppSettings;

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App {
    service: ItemService,
    catalog: CatalogServiceClient<GrpcChannel>,
}

impl Service for App {
    const NAME: &'static str = "shop-billing";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::GRPC).and(Uses::LIVE);
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = Self;
    type Config = AppSettings;
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item").with::<ItemCreated>()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        let service = ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace);
        let catalog = cx.grpc_client("catalog", &cx.config.catalog, &[FILE_DESCRIPTOR_SET]).await?;
        Ok(Self { service, catalog: CatalogServiceClient::new(catalog) })
    }

    fn grpc(&self, _: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let rpc = BillingRpc { items: self.service.clone(), catalog: self.catalog.clone() };
        server.add_service(BillingServiceServer::new(rpc)).descriptors(FILE_DESCRIPTOR_SET)
    }
}
