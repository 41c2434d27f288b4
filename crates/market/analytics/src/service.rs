//! The service, as the platform runs it.

use std::sync::Arc;
use std::time::Duration;

use kennel_cache::Policy;
use kennel_config::{Reader, Settings};
use kennel_grpc::{GrpcChannel, GrpcClientConfig, GrpcServer};
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_service::{AccessRules, Context, NoCommand, OpenApiRouter, Service, Uses};
use market_contracts::{CANDLES, LATEST_CANDLE_TTL, LATEST_CANDLES, SYSTEM};

use crate::analysis::Analysis;
use crate::grpc::AnalyticsRpc;
use crate::http;
use crate::stream::{CandleStream, ReplicaKey, StreamDelay};

/// How old movers may be.
const MOVERS_TTL: Duration = Duration::from_secs(5);

/// What clients see.
#[derive(Clone)]
pub struct AnalyticsApi {
    pub(crate) analysis: Analysis,
    pub(crate) stream: CandleStream,
}

impl AnalyticsApi {
    /// The stored candles.
    pub(crate) fn candles(&self) -> CandleServiceClient<GrpcChannel> {
        self.analysis.candles.clone()
    }
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct AnalyticsConfig {
    /// The stored candles, market-preprocessor.
    pub candles: GrpcClientConfig,
}

impl Settings for AnalyticsConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { candles: reader.named_section("candles") }
    }
}

impl Service for AnalyticsApi {
    const NAME: &'static str = "analytics-api";
    const ABOUT: &'static str = "Candles of several exchanges, stored and live, over HTTP and gRPC";
    const USES: Uses = Uses::HTTP.and(Uses::GRPC).and(Uses::BROKER).and(Uses::CACHE);
    const CONTRACTS: &'static str = "market/analytics";
    const CACHE: &'static str = SYSTEM;
    const HTTP_PORT: u16 = 8083;
    const GRPC_PORT: u16 = 50055;
    const UNBOUNDED: &'static [&'static str] = &[http::STREAM];

    type State = Self;
    type Config = AnalyticsConfig;
    type Command = NoCommand;

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    fn access() -> AccessRules {
        let of = |service: &str, method: &&str| format!("market.v1.{service}/{method}");
        let candles = ["ListCandles", "ListInstruments", "ListGaps"];
        let analytics = [
            "GetLatestCandle",
            "GetVwap",
            "ListReturns",
            "GetVolatility",
            "GetCorrelation",
            "ListMovers",
            "StreamCandles",
        ];
        let methods = candles.iter().map(|method| of("CandleService", method));
        let methods = methods.chain(analytics.iter().map(|method| of("AnalyticsService", method)));
        let routes = [
            "instruments",
            "candles",
            "candles/latest",
            "gaps",
            "stream",
            "vwap",
            "returns",
            "volatility",
            "correlation",
            "movers",
        ];
        AccessRules::new()
            .public(http::page::PAGE.operations())
            .scope("market:read", routes.map(|route| format!("GET /api/v1/{route}")).into_iter().chain(methods))
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let channel = cx.grpc_client("candles", &cx.config.candles, &[FILE_DESCRIPTOR_SET]).await?;
        let (feed, replica) = (cx.topic_feed(CANDLES).await?, ReplicaKey::of(cx.ids().next()));
        let stream = CandleStream::new(feed, replica, StreamDelay::register(cx.registry(), cx.clock())?);
        let analysis = Analysis {
            candles: CandleServiceClient::new(channel),
            latest: Arc::new(cx.cache_with(Policy::new(LATEST_CANDLES, LATEST_CANDLE_TTL)).await?),
            movers: Arc::new(cx.cache_with(Policy::new("analytics.movers", MOVERS_TTL)).await?),
        };
        Ok(Self { analysis, stream })
    }

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let (max_bytes, services) = (cx.standard.grpc.max_message_bytes, AnalyticsRpc(self.clone()));
        server
            .add_service(services.clone().candles(max_bytes))
            .add_service(services.analytics(max_bytes))
            .descriptors(FILE_DESCRIPTOR_SET)
    }
}
