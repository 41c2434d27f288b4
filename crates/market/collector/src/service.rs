//! The service, as the platform runs it.

use std::sync::Arc;

use anyhow::Context as _;
use kennel_client::AddressPolicy;
use kennel_core::Publisher;
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_service::{Context, EventSet, NoCommand, Service, Uses, Worker};
use market_contracts::TradeReported;
use market_domain::Venue;
use market_venues::{Symbols, adapter};
use tokio::time::Instant;

use crate::backfill::Backfill;
use crate::config::{CollectorConfig, VenueConfig};
use crate::metrics::CollectorMetrics;
use crate::positions::Positions;
use crate::publisher::{SOURCE, TradePublisher};
use crate::tracker::Tracker;
use crate::worker::VenueWorker;

/// The trades of the exchanges.
pub struct MarketDataCollector {
    positions: Positions,
    metrics: CollectorMetrics,
}

impl Service for MarketDataCollector {
    const NAME: &'static str = "market-data-collector";
    const ABOUT: &'static str = "Receives the trades of exchanges and publishes them without gaps";
    const USES: Uses = Uses::BROKER;
    const CONTRACTS: &'static str = "market/collector";

    type State = ();
    type Config = CollectorConfig;
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the venue and the symbol")
            .with_message::<TradeReported>(TradeReported::MESSAGE, TradeReported::PROTO)
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let channel = cx.grpc_client("candles", &cx.config.candles, &[FILE_DESCRIPTOR_SET]).await?;
        let positions = Positions(CandleServiceClient::new(channel));
        Ok(Self { positions, metrics: CollectorMetrics::register(cx.registry())? })
    }

    fn state(&self) {}

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let mut workers = Vec::new();
        for (venue, config) in &cx.config.venues {
            if !config.symbols.is_empty() {
                workers.push(Worker::new(self.worker(cx, *venue, config).await?));
            }
        }
        Ok(workers)
    }
}

impl MarketDataCollector {
    async fn worker(&self, cx: &Context<Self>, venue: Venue, config: &VenueConfig) -> anyhow::Result<VenueWorker> {
        let (url, rest) = config.urls(venue).with_context(|| format!("the urls of {venue}"))?;
        let (pause, request_pause) = config.pauses(venue);
        let client = cx.http_client(venue.name(), &config.client()).await?;
        let publisher: Arc<dyn Publisher> = Arc::clone(cx.broker().await?) as _;
        Ok(VenueWorker {
            // A service has one of each venue; their number is fixed.
            name: format!("collector.{venue}").leak(),
            venue,
            symbols: Symbols::new(adapter(venue), config.symbols()),
            url,
            policy: AddressPolicy::new(config.allow_private, &[]),
            pause,
            backfill: Backfill {
                venue,
                client,
                url: rest,
                clock: cx.clock(),
                pause: request_pause,
                next: Instant::now(),
                failures: 0,
            },
            positions: self.positions.clone(),
            learned: None,
            publisher: TradePublisher(publisher),
            tracker: Tracker::default(),
            metrics: self.metrics.clone(),
            clock: cx.clock(),
        })
    }
}
