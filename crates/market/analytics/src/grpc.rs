//! The gRPC API: the service of the stored candles, as market-preprocessor answers, and what they add up to.

use kennel_grpc::{Reply, respond};
use kennel_proto::market::v1 as pb;
use kennel_proto::market::v1::analytics_service_server::{AnalyticsService, AnalyticsServiceServer};
use kennel_proto::market::v1::candle_service_server::{CandleService, CandleServiceServer};
use kennel_service::watch::Messages;
use tonic::{Request, Response};

use crate::analysis::Mover;
use crate::errors::of_upstream;
use crate::service::AnalyticsApi;
use crate::stream::Wanted;

/// Both services.
#[derive(Clone)]
pub(crate) struct AnalyticsRpc(pub(crate) AnalyticsApi);

impl AnalyticsRpc {
    /// The service of candles, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions.
    pub(crate) fn candles(self, max_message_bytes: usize) -> CandleServiceServer<Self> {
        CandleServiceServer::new(self)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
    }

    /// The service of what they add up to, with the same limits.
    pub(crate) fn analytics(self, max_message_bytes: usize) -> AnalyticsServiceServer<Self> {
        AnalyticsServiceServer::new(self)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
    }
}

#[tonic::async_trait]
impl CandleService for AnalyticsRpc {
    async fn list_candles(&self, request: Request<pb::ListCandlesRequest>) -> Reply<pb::ListCandlesResponse> {
        self.0.candles().list_candles(request.into_inner()).await.map_err(of_upstream)
    }

    async fn list_instruments(
        &self,
        request: Request<pb::ListInstrumentsRequest>,
    ) -> Reply<pb::ListInstrumentsResponse> {
        self.0.candles().list_instruments(request.into_inner()).await.map_err(of_upstream)
    }

    async fn list_gaps(&self, request: Request<pb::ListGapsRequest>) -> Reply<pb::ListGapsResponse> {
        self.0.candles().list_gaps(request.into_inner()).await.map_err(of_upstream)
    }
}

#[tonic::async_trait]
impl AnalyticsService for AnalyticsRpc {
    async fn get_latest_candle(
        &self,
        request: Request<pb::GetLatestCandleRequest>,
    ) -> Reply<pb::GetLatestCandleResponse> {
        let pb::GetLatestCandleRequest { venue, symbol } = request.into_inner();
        let candle = self.0.analysis.latest(&venue, &symbol).await?;
        Ok(respond(pb::GetLatestCandleResponse { candle }))
    }

    async fn get_vwap(&self, request: Request<pb::GetVwapRequest>) -> Reply<pb::GetVwapResponse> {
        let range = request.into_inner().range.unwrap_or_default();
        self.0.analysis.vwap(range).await.map(respond)
    }

    async fn list_returns(&self, request: Request<pb::ListReturnsRequest>) -> Reply<pb::ListReturnsResponse> {
        let range = request.into_inner().range.unwrap_or_default();
        self.0.analysis.list_returns(range).await.map(respond)
    }

    async fn get_volatility(&self, request: Request<pb::GetVolatilityRequest>) -> Reply<pb::GetVolatilityResponse> {
        let range = request.into_inner().range.unwrap_or_default();
        self.0.analysis.volatility(range).await.map(respond)
    }

    async fn get_correlation(&self, request: Request<pb::GetCorrelationRequest>) -> Reply<pb::GetCorrelationResponse> {
        self.0.analysis.correlation(request.into_inner()).await.map(respond)
    }

    async fn list_movers(&self, request: Request<pb::ListMoversRequest>) -> Reply<pb::ListMoversResponse> {
        let pb::ListMoversRequest { venue, period, limit } = request.into_inner();
        let movers = self.0.analysis.movers(&venue, &period, limit).await?;
        Ok(respond(pb::ListMoversResponse { movers: movers.into_iter().map(pb::Mover::from).collect() }))
    }

    type StreamCandlesStream = Messages<pb::StreamCandlesResponse>;

    async fn stream_candles(&self, request: Request<pb::StreamCandlesRequest>) -> Reply<Self::StreamCandlesStream> {
        let pb::StreamCandlesRequest { venue, symbol, timeframe, resume_token } = request.into_inner();
        let wanted = Wanted::of([venue, symbol, timeframe].map(Some));
        let mut response = Response::new(self.0.stream.messages(&resume_token, wanted)?);
        // Compression does not pay off: candles are small.
        response.disable_compression();
        Ok(response)
    }
}

impl From<Mover> for pb::Mover {
    fn from(mover: Mover) -> Self {
        let Mover { venue, symbol, close, before, change, open_time_us } = mover;
        Self { venue, symbol, close, before, change, open_time_us }
    }
}
