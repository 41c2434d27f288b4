//! The client of the API that `api/payments.yaml` describes.

#[cfg(feature = "mock")]
pub mod mock;

use async_trait::async_trait;
use http::{HeaderName, Method};
use kennel_client::contract::InvalidApi;
use kennel_client::{ApiClient, ApiConfig, Authentication, Client};
use kennel_core::Failure;
use shop_contracts::payments;

/// Calls the operations over HTTP.
#[derive(Debug, Clone)]
pub struct PaymentsClient(ApiClient);

impl PaymentsClient {
    /// A client of the server that `config` names.
    pub fn new(client: Client, config: &ApiConfig) -> Result<Self, InvalidApi> {
        Ok(Self(ApiClient::new(client, config, Authentication::Header(HeaderName::from_static("x-api-key")))?))
    }
}

#[async_trait]
impl payments::Api for PaymentsClient {
    async fn create_payment(
        &self,
        request: payments::CreatePaymentRequest,
    ) -> Result<payments::CreatePaymentResponse, Failure> {
        let mut call = self.0.call(Method::POST, &["api", "payments"])?;
        call.json(&request.body)?;
        let answer = call.send(&[201..=201, 402..=402, 422..=422]).await?;
        match answer.status() {
            201 => Ok(payments::CreatePaymentResponse::Created(answer.json()?)),
            402 => Ok(payments::CreatePaymentResponse::PaymentRequired(answer.json()?)),
            422 => Ok(payments::CreatePaymentResponse::UnprocessableEntity(answer.json()?)),
            _ => Err(answer.undeclared()),
        }
    }

    async fn list_payment_events(
        &self,
        request: payments::ListPaymentEventsRequest,
    ) -> Result<payments::ListPaymentEventsResponse, Failure> {
        let mut call = self.0.call(Method::GET, &["api", "payments", &request.reference, "events"])?;
        for value in request.kind.iter().flatten() {
            call.query("kind", value);
        }
        if let Some(value) = &request.since {
            call.query("since", value);
        }
        if let Some(value) = &request.x_trace {
            call.header("x-trace", value)?;
        }
        let answer = call.send(&[200..=200, 400..=428, 430..=499]).await?;
        match answer.status() {
            200 => Ok(payments::ListPaymentEventsResponse::Ok(answer.json()?)),
            status @ 400..=499 => Ok(payments::ListPaymentEventsResponse::ClientError(status, answer.json()?)),
            _ => Err(answer.undeclared()),
        }
    }
}
