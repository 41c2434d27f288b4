//! The gRPC API: the service of the stored candles, as market-preprocessor answers.

use kennel_grpc::GrpcChannel;
use kennel_proto::market::v1 as pb;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_proto::market::v1::candle_service_server::{CandleService, CandleServiceServer};
use tonic::{Request, Response, Status};

/// Passes calls on.
#[derive(Clone)]
pub(crate) struct AnalyticsRpc(pub(crate) CandleServiceClient<GrpcChannel>);

impl AnalyticsRpc {
    /// The service, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions.
    pub(crate) fn server(self, max_message_bytes: usize) -> CandleServiceServer<Self> {
        CandleServiceServer::new(self)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
    }
}

#[tonic::async_trait]
impl CandleService for AnalyticsRpc {
    async fn list_candles(
        &self,
        request: Request<pb::ListCandlesRequest>,
    ) -> Result<Response<pb::ListCandlesResponse>, Status> {
        self.0.clone().list_candles(request.into_inner()).await
    }

    async fn list_instruments(
        &self,
        request: Request<pb::ListInstrumentsRequest>,
    ) -> Result<Response<pb::ListInstrumentsResponse>, Status> {
        self.0.clone().list_instruments(request.into_inner()).await
    }

    async fn list_gaps(&self, request: Request<pb::ListGapsRequest>) -> Result<Response<pb::ListGapsResponse>, Status> {
        self.0.clone().list_gaps(request.into_inner()).await
    }
}
