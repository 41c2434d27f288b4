//! The application `shop-tool`.

use std::process::ExitCode;
use std::sync::Arc;

use kennel_core::ObjectStore;
use kennel_service::{Context, EventSet, Service, Uses};
use kennel_storage::Migrations;
use shop_domain::mailer::MailerQueue;
use shop_domain::{ItemCreated, ItemService, SOURCE};
use shop_transport::admin::{AdminCli, commands};

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App {
    service: ItemService,
    /// The driver `files`.
    pub files: Arc<dyn ObjectStore>,
}

impl Service for App {
    const NAME: &'static str = "shop-tool";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::OBJECTS);
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = Self;
    type Config = ();
    type Command = commands::AdminCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item")
            .with::<ItemCreated>()
            .with::<shop_domain::mailer::SendReceiptTask>()
            .with::<shop_domain::mailer::CleanUpTask>()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        let files = Arc::clone(cx.objects().await?);
        let service = ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace);
        Ok(Self { service, files })
    }

    async fn run(cx: &Context<Self>, command: Self::Command) -> anyhow::Result<ExitCode> {
        kennel_service::check_schema(&*cx.database().await?.migrator, &cx.program).await?;
        let items = Self::build(cx).await?.service;
        let cli = AdminCli { items, mailer: MailerQueue(cx.task_queue(SOURCE).await?) };
        commands::run(&cli, command).await
    }
}
