//! The service, as the platform runs it.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use kennel_client::AddressPolicy;
use kennel_core::Publisher;
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_service::{Context, EventSet, NoCommand, Service, Uses, Worker};
use market_contracts::{TradeReported, TradeReportedV2};
use market_domain::Venue;
use market_venues::Symbols;
use tokio::sync::watch;

use crate::backfill::{Api, Backfill};
use crate::config::{CollectorConfig, VenueConfig};
use crate::listing::Listing;
use crate::metrics::CollectorMetrics;
use crate::positions::Positions;
use crate::publisher::{SOURCE, TradePublisher};
use crate::sampler::Sampler;
use crate::shards::Shards;
use crate::tracker::Tracker;
use crate::worker::VenueWorker;

/// The trades of the exchanges.
#[derive(Clone)]
pub struct MarketDataCollector {
    positions: Positions,
    metrics: CollectorMetrics,
}

impl Service for MarketDataCollector {
    const NAME: &'static str = "market-data-collector";
    const ABOUT: &'static str = "Receives the trades of exchanges and publishes them without gaps";
    const USES: Uses = Uses::BROKER.and(Uses::CACHE);
    const CONTRACTS: &'static str = "market/collector";

    type State = Self;
    type Config = CollectorConfig;
    type Command = NoCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the venue and the symbol")
            .with_message::<TradeReported>(TradeReported::MESSAGE, TradeReported::PROTO)
            .with_message::<TradeReportedV2>(TradeReportedV2::MESSAGE, TradeReportedV2::PROTO)
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let channel = cx.grpc_client("candles", &cx.config.candles, &[FILE_DESCRIPTOR_SET]).await?;
        let positions = Positions(CandleServiceClient::new(channel));
        Ok(Self { positions, metrics: CollectorMetrics::register(cx.registry())? })
    }

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
        let sharding = &cx.config.sharding;
        let client = cx.http_client(venue.name(), &config.client()).await?;
        let broker: Arc<dyn Publisher> = Arc::clone(cx.broker().await?) as _;
        let versions = cx.config.publishing.trade_versions;
        Ok(VenueWorker {
            // A service has one of each venue; their number is fixed.
            name: format!("collector.{venue}").leak(),
            venue,
            listing: Listing::new(config.symbols(), self.metrics.refused(venue)),
            symbols: Symbols::default(),
            url,
            policy: AddressPolicy::new(config.allow_private, &[]),
            pause,
            backfill: Backfill::new(Api { venue, client, url: rest, clock: cx.clock() }, request_pause),
            positions: self.positions.clone(),
            question: None,
            asked: HashSet::new(),
            shards: Some(Shards {
                venue,
                locks: cx.locks("shards").await?,
                counters: cx.counters("members").await?,
                clock: cx.clock(),
                metrics: self.metrics.clone(),
                count: sharding.collector_shards,
                ttl: sharding.collector_lease.get(),
            }),
            owned: watch::Sender::default().subscribe(),
            shard_count: sharding.collector_shards,
            publisher: TradePublisher { venue, broker, versions, metrics: self.metrics.clone(), clock: cx.clock() },
            tracker: Tracker::default(),
            metrics: self.metrics.clone(),
            sampler: Sampler::new(config.sample_frames),
            clock: cx.clock(),
        })
    }
}
