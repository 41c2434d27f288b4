//! The application `shop-bot`.

mod settings;

use std::sync::Arc;

use kennel_core::ObjectStore;
use kennel_service::{Context, EventSet, NoCommand, Service, Uses, Worker};
use kennel_storage::Migrations;
use kennel_telegram::Bot;
use shop_domain::{ItemCreated, ItemService, SOURCE};
use shop_drivers::search::SearchDriver;
use shop_workers::support_bot;

pub use settings::AppSettings;

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App {
    service: ItemService,
    /// The driver `files`.
    pub files: Arc<dyn ObjectStore>,
    /// The driver `alerts`.
    pub alerts: Bot,
    /// The driver `search`.
    pub search: SearchDriver,
}

impl Service for App {
    const NAME: &'static str = "shop-bot";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::OBJECTS).and(Uses::LIVE);
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = Self;
    type Config = AppSettings;
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item").with::<ItemCreated>()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        let files = Arc::clone(cx.objects().await?);
        let config = &cx.config.alerts;
        let alerts = Bot::new(cx.http_client("alerts", &config.client()).await?, config)?;
        let search = SearchDriver::default();
        let service = ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace);
        Ok(Self { service, files, alerts, search })
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let config = &cx.config.support_bot;
        let support_bot = Bot::new(cx.http_client("support_bot", &config.client()).await?, config)?;
        let support_bot = support_bot::poller(self.service.clone(), support_bot);
        Ok(vec![
            {
                let progress = support_bot.progress();
                Worker::new(support_bot).with_progress(progress)
            },
            Worker::new(self.search.component()),
        ])
    }
}
