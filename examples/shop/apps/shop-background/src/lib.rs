//! The application `shop-background`.

use std::sync::Arc;

use kennel_service::{Context, EventSet, NoCommand, Service, Uses, Worker};
use kennel_storage::Migrations;
use shop_domain::{ItemCreated, ItemService, SOURCE, TOPIC};
use shop_workers::{indexer, mailer, poller, report};

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App(ItemService);

impl Service for App {
    const NAME: &'static str = "shop-background";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::LIVE);
    const CONSUMERS: &'static [&'static str] = &["shop-background.indexer", "shop-background.mailer"];
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = Self;
    type Config = ();
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item")
            .with::<ItemCreated>()
            .with::<shop_domain::mailer::SendReceiptTask>()
            .with::<shop_domain::mailer::CleanUpTask>()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        Ok(Self(ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace)))
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        Ok(vec![
            cx.consumer("shop-background.indexer", TOPIC, Arc::new(indexer::IndexerConsumer(self.0.clone()))).await?,
            cx.consumer(
                "shop-background.mailer",
                shop_domain::mailer::TOPIC,
                Arc::new(mailer::MailerWorker(self.0.clone())),
            )
            .await?,
            Worker::new(report::report(self.0.clone())),
            Worker::new(poller::PollerDaemon(self.0.clone())),
        ])
    }
}
