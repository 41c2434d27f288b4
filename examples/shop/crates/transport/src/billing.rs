//! The services of `proto/billing/v1/billing_service.proto`.

use kennel_grpc::GrpcChannel;
use shop_domain::ItemService;
use shop_proto as proto;
use shop_proto::billing::v1::billing_service_server::BillingService;
use shop_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

/// Implements the services.
#[derive(Clone)]
pub struct BillingRpc {
    /// The operations on items.
    pub items: ItemService,
    /// The client of `catalog`.
    pub catalog: CatalogServiceClient<GrpcChannel>,
}

#[tonic::async_trait]
impl BillingService for BillingRpc {
    async fn create_invoice(
        &self,
        _request: Request<proto::billing::v1::CreateInvoiceRequest>,
    ) -> Result<Response<proto::billing::v1::CreateInvoiceResponse>, Status> {
        Err(Status::unimplemented("CreateInvoice is not implemented"))
    }

    type WatchInvoicesStream = BoxStream<proto::billing::v1::WatchInvoicesResponse>;

    async fn watch_invoices(
        &self,
        _request: Request<proto::billing::v1::WatchInvoicesRequest>,
    ) -> Result<Response<Self::WatchInvoicesStream>, Status> {
        Err(Status::unimplemented("WatchInvoices is not implemented"))
    }

    async fn import_invoices(
        &self,
        _request: Request<Streaming<proto::billing::v1::ImportInvoicesRequest>>,
    ) -> Result<Response<proto::billing::v1::ImportInvoicesResponse>, Status> {
        Err(Status::unimplemented("ImportInvoices is not implemented"))
    }
}
