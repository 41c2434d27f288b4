//! The service, as the platform runs it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kennel_app::Periodic;
use kennel_cache::{Locks, Policy};
use kennel_config::{Reader, Settings};
use kennel_core::BoxError;
use kennel_grpc::GrpcServer;
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_service::{AccessRules, Context, EventSet, Service, Uses, Worker};
use kennel_storage::Migrations;
use market_contracts::{CandleChanged, LATEST_CANDLE_TTL, LATEST_CANDLES, SYSTEM, TRADES, TRADES_V2};
use market_domain::Venue;
use market_venues::adapter;

use crate::audit::locks::regularly;
use crate::audit::{Audit, RestHistory, Scope, Summary, VenueHistory};
use crate::cli::{self, PreprocessorCommand};
use crate::config::{AuditConfig, PreprocessorConfig, VenueConfig};
use crate::events::SOURCE;
use crate::grpc::CandleRpc;
use crate::handler::TradeHandler;
use crate::latest::{LatestCandles, LatestWriter};
use crate::metrics::{AuditMetrics, PreprocessorMetrics};
use crate::repository;
use crate::store::CandleRepository;

/// The candles.
#[derive(Clone)]
pub struct MarketPreprocessor {
    store: Arc<dyn CandleRepository>,
    metrics: PreprocessorMetrics,
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct MarketPreprocessorConfig {
    /// Candles.
    pub candles: PreprocessorConfig,
    /// The comparison with the venues.
    pub audit: AuditConfig,
    /// The venues.
    pub venues: Vec<(Venue, VenueConfig)>,
}

impl Settings for MarketPreprocessorConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        let (candles, audit) = (reader.section(), reader.section());
        let venues: [(Venue, VenueConfig); _] = Venue::ALL.map(|venue| (venue, reader.named_section(venue.name())));
        Self { candles, audit, venues: venues.into() }
    }
}

impl Service for MarketPreprocessor {
    const NAME: &'static str = "market-preprocessor";
    const ABOUT: &'static str = "Builds candles from trades, and stores them with what is missing";
    const USES: Uses = Uses::GRPC.and(Uses::STORAGE).and(Uses::BROKER).and(Uses::CACHE);
    const CONTRACTS: &'static str = "market/preprocessor";
    const CACHE: &'static str = SYSTEM;
    const GRPC_PORT: u16 = 50054;
    const CONSUMERS: &'static [&'static str] = &[TradeHandler::GROUP, TradeHandler::GROUP_V2];
    const MIGRATIONS: Migrations = repository::MIGRATIONS;

    type State = Self;
    type Config = MarketPreprocessorConfig;
    type Command = PreprocessorCommand;

    fn events() -> EventSet {
        EventSet::new(SOURCE, "the venue and the symbol")
            .with_message::<CandleChanged>(CandleChanged::MESSAGE, CandleChanged::PROTO)
    }

    fn access() -> AccessRules {
        AccessRules::new().scope(
            "market:read",
            ["ListCandles", "ListInstruments", "ListGaps"].map(|method| format!("market.v1.CandleService/{method}")),
        )
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let store = repository::candles(cx.database().await?);
        Ok(Self { store, metrics: PreprocessorMetrics::register(cx.registry())? })
    }

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let max_bytes = cx.standard.grpc.max_message_bytes;
        let carries = cx.config.candles.candle_carry_close;
        let service = CandleRpc::server(Arc::clone(&self.store), carries, max_bytes);
        server.add_service(service).descriptors(FILE_DESCRIPTOR_SET)
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let (store, metrics, config) = (Arc::clone(&self.store), self.metrics.clone(), &cx.config.candles);
        let latest = LatestCandles::default();
        let handler = TradeHandler::new(store, (cx.ids(), cx.clock()), metrics, config.limits(), config.hold());
        let handler = Arc::new(handler.with_latest(latest.clone()));
        let limits = TradeHandler::LIMITS;
        let first = cx.batch_consumer(TradeHandler::GROUP, TRADES, Arc::clone(&handler) as _, limits).await?;
        let second = cx.batch_consumer(TradeHandler::GROUP_V2, TRADES_V2, handler, limits).await?;
        let cache = cx.cache_with(Policy::new(LATEST_CANDLES, LATEST_CANDLE_TTL)).await?;
        let mut workers = vec![first, second, Worker::new(LatestWriter { latest, cache })];
        let AuditConfig { audit_interval, audit_repair: repair, .. } = cx.config.audit;
        let interval = audit_interval.get();
        if !interval.is_zero() {
            let (audit, locks, span) = (Arc::new(audit(cx).await?), audit_locks(cx).await?, cx.config.audit.span());
            let job = move || {
                let (audit, locks) = (Arc::clone(&audit), locks.clone());
                let scope = Scope { venue: None, symbol: None, span, to: None, repair };
                async move { report_alone(&audit, &locks, interval, &scope).await }
            };
            workers.push(Worker::new(Periodic::new("audit", interval, job)));
        }
        Ok(workers)
    }

    async fn run(cx: &Context<Self>, command: PreprocessorCommand) -> anyhow::Result<ExitCode> {
        cli::run(cx, command).await
    }
}

/// The comparison with the venues.
pub(crate) async fn audit(cx: &Context<MarketPreprocessor>) -> anyhow::Result<Audit> {
    let mut histories: BTreeMap<Venue, Arc<dyn VenueHistory>> = BTreeMap::new();
    for (venue, config) in &cx.config.venues {
        let url = config.url(*venue).with_context(|| format!("the url of {venue}"))?;
        let client = cx.http_client(venue.name(), &config.client()).await?;
        let pause = adapter(*venue).rules().request_pause;
        histories.insert(*venue, Arc::new(RestHistory::new(*venue, client, url, cx.clock(), pause)));
    }
    let (store, metrics) = (repository::candles(cx.database().await?), AuditMetrics::register(cx.registry())?);
    Ok(Audit { store, histories, ids: cx.ids(), metrics, hold: cx.config.candles.hold() })
}

/// The locks of comparisons, which the processes share that have one cache.
pub(crate) async fn audit_locks(cx: &Context<MarketPreprocessor>) -> anyhow::Result<Locks> {
    cx.locks("audit").await
}

/// Compares once, unless another replica does.
async fn report_alone(audit: &Audit, locks: &Locks, interval: Duration, scope: &Scope) -> Result<(), BoxError> {
    let Some(result) = regularly(locks, interval, report(audit, scope)).await? else {
        audit.metrics.forget();
        return Ok(());
    };
    result
}

/// Compares once, and logs what differs.
async fn report(audit: &Audit, scope: &Scope) -> Result<(), BoxError> {
    let summary = audit.run(scope, |finding| {
        let (instrument, open_time) = (&finding.instrument, finding.window.open_time.0);
        let error = finding.repair.and_then(Result::err).map(|error| error.to_string());
        tracing::warn!(%instrument, open_time, error, differences = ?finding.differences, "candle differs from its venue's");
    });
    let Summary { compared, different, repaired } = summary.await?;
    tracing::info!(compared, different, repaired, "candles compared with those of the venues");
    Ok(())
}
