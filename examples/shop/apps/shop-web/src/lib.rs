//! The application `shop-web`.

use kennel_service::{Context, EventSet, NoCommand, OpenApiRouter, Service, Uses};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE};

/// The application, as the platform runs it.
pub struct App(ItemService);

impl Service for App {
    const NAME: &'static str = "shop-web";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::HTTP);

    type State = ItemService;
    type Config = ();
    type Command = NoCommand;

    fn migrations() -> Migrations {
        shop_storages::MIGRATIONS
    }

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

    fn state(&self) -> ItemService {
        self.0.clone()
    }
}
