//! The application `shop-web`.

use kennel_service::{Context, EventSet, FromRef, NoCommand, OpenApiRouter, Service, Uses};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE};

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
    const NAME: &'static str = "shop-web";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::HTTP).and(Uses::LIVE);
    const HTTP_NAME: &'static str = "web";
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
}
