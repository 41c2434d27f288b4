//! The service, as the platform runs it.

use kennel_config::{Reader, Settings};
use kennel_grpc::{GrpcChannel, GrpcClientConfig, GrpcServer};
use kennel_proto::market::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_service::{Context, NoCommand, OpenApiRouter, Service, Uses};
use market_contracts::CANDLES;

use crate::grpc::AnalyticsRpc;
use crate::http;
use crate::stream::CandleStream;

/// What clients see.
#[derive(Clone)]
pub struct AnalyticsApi {
    pub(crate) candles: CandleServiceClient<GrpcChannel>,
    pub(crate) stream: CandleStream,
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
    const USES: Uses = Uses::HTTP.and(Uses::GRPC).and(Uses::BROKER);
    const CONTRACTS: &'static str = "market/analytics";
    const HTTP_PORT: u16 = 8083;
    const GRPC_PORT: u16 = 50055;
    const UNBOUNDED: &'static [&'static str] = &[http::STREAM];

    type State = Self;
    type Config = AnalyticsConfig;
    type Command = NoCommand;

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let channel = cx.grpc_client("candles", &cx.config.candles, &[FILE_DESCRIPTOR_SET]).await?;
        let stream = CandleStream::new(cx.topic_feed(CANDLES).await?);
        Ok(Self { candles: CandleServiceClient::new(channel), stream })
    }

    fn state(&self) -> Self {
        self.clone()
    }

    fn grpc(&self, cx: &Context<Self>, server: GrpcServer) -> GrpcServer {
        let max_bytes = cx.standard.grpc.max_message_bytes;
        server.add_service(AnalyticsRpc(self.candles.clone()).server(max_bytes)).descriptors(FILE_DESCRIPTOR_SET)
    }
}
