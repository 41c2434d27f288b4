//! The service, as the platform runs it.

use std::sync::Arc;

use kennel_config::{Reader, Settings};
use kennel_grpc::GrpcServer;
use kennel_outbox::BatchLimits;
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_service::{Context, EventSet, NoCommand, Service, Uses, Worker};
use kennel_storage::Migrations;
use market_contracts::{CandleChanged, TRADES};

use crate::config::PreprocessorConfig;
use crate::grpc::CandleRpc;
use crate::handler::{SOURCE, TradeHandler};
use crate::metrics::PreprocessorMetrics;
use crate::repository;
use crate::store::CandleRepository;

/// The candles.
pub struct MarketPreprocessor {
    store: Arc<dyn CandleRepository>,
    metrics: PreprocessorMetrics,
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct MarketPreprocessorConfig {
    /// Candles.
    pub candles: PreprocessorConfig,
}

impl Settings for MarketPreprocessorConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { candles: reader.section() }
    }
}

impl Service for MarketPreprocessor {
    const NAME: &'static str = "market-preprocessor";
    const ABOUT: &'static str = "Builds candles from trades, and stores them with what is missing";
    const USES: Uses = Uses::GRPC.and(Uses::STORAGE).and(Uses::BROKER);
    const CONTRACTS: &'static str = "market/preprocessor";
    const GRPC_PORT: u16 = 50054;
    const CONSUMERS: &'static [&'static str] = &[TradeHandler::GROUP];

    type State = ();
    type Config = MarketPreprocessorConfig;
    type Command = NoCommand;

    fn migrations() -> Migrations {
        repository::MIGRATIONS
    }

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the venue and the symbol")
            .with_message::<CandleChanged>(CandleChanged::MESSAGE, CandleChanged::PROTO)
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let store = repository::candles(cx.database().await?);
        Ok(Self { store, metrics: PreprocessorMetrics::register(cx.registry())? })
    }

    fn state(&self) {}

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let max_bytes = cx.standard.grpc.max_message_bytes;
        server.add_service(CandleRpc::server(Arc::clone(&self.store), max_bytes)).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let (store, metrics, config) = (Arc::clone(&self.store), self.metrics.clone(), &cx.config.candles);
        let handler = TradeHandler::new(store, cx.ids(), metrics, config.limits(), config.hold());
        let limits = BatchLimits::default();
        Ok(vec![cx.batch_consumer(TradeHandler::GROUP, TRADES, Arc::new(handler), limits).await?])
    }
}
