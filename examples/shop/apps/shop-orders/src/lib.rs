//! The application `shop-orders`.

mod settings;

use std::sync::Arc;

use kennel_service::{Context, EventSet, FromRef, NoCommand, OpenApiRouter, Service, Uses, Worker};
use kennel_storage::Migrations;
use shop_clients::payments::PaymentsClient;
use shop_contracts::messages::order_paid::OrderPaid;
use shop_domain::mailer::MailerQueue;
use shop_domain::order_events::OrderEventsProducer;
use shop_domain::orders::OrdersApi;
use shop_domain::{ItemCreated, ItemService, SOURCE};
use shop_transport::orders;
use shop_workers::receipts;

pub use settings::AppSettings;

kennel_service::contract_test!(crate::App, "../..");

/// The application, as the platform runs it.
#[derive(Clone)]
pub struct App {
    service: ItemService,
    api: orders::Shared,
}

impl FromRef<App> for orders::Shared {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.api)
    }
}

impl Service for App {
    const NAME: &'static str = "shop-orders";
    const ABOUT: &'static str = "Items of a small shop";
    const USES: Uses = Uses::STORAGE.and(Uses::BROKER).and(Uses::HTTP).and(Uses::LIVE);
    const HTTP_NAME: &'static str = "orders";
    const CONSUMERS: &'static [&'static str] = &["shop-orders.receipts"];
    const MIGRATIONS: Migrations = shop_storages::MIGRATIONS;

    type State = orders::Shared;
    type Config = AppSettings;
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the id of an item")
            .with::<ItemCreated>()
            .with::<OrderPaid>()
            .with::<shop_domain::mailer::SendReceiptTask>()
            .with::<shop_domain::mailer::CleanUpTask>()
    }

    fn http() -> OpenApiRouter<orders::Shared> {
        orders::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let items = shop_storages::items(cx.database().await?);
        let items = ItemService::new(items, cx.clock(), cx.ids(), kennel_service::current_trace);
        let config = &cx.config.payments;
        let payments = PaymentsClient::new(cx.http_client("payments", &config.client()).await?, config)?;
        let service = items.clone();
        let order_events = OrderEventsProducer::new(
            Arc::clone(cx.broker().await?) as _,
            cx.clock(),
            cx.ids(),
            kennel_service::current_trace,
        );
        let api = OrdersApi {
            items,
            payments: Arc::new(payments),
            order_events,
            mailer: MailerQueue(cx.task_queue(SOURCE).await?),
        };
        Ok(Self { service, api: Arc::new(api) })
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        Ok(vec![
            cx.consumer(
                "shop-orders.receipts",
                "shop.orders",
                Arc::new(receipts::ReceiptsConsumer(self.service.clone())),
            )
            .await?,
        ])
    }
}
