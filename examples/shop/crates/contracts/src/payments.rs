//! The API that `api/payments.yaml` describes: its types, and its operations as a trait.

use async_trait::async_trait;
use kennel_core::{Failure, Validate, Violations};
use serde::{Deserialize, Serialize};

/// The schema `NewPayment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPayment {
    /// The property `amount`.
    pub amount: i64,
    /// The property `currency`.
    pub currency: String,
    /// The property `description`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub description: Option<Option<String>>,
}

impl Validate for NewPayment {
    fn validate(&self, at: &mut Violations) {
        at.field("amount", |at| {
            at.range(self.amount, 1..);
        });
        at.field("currency", |at| {
            at.length(&self.currency, 3..=3);
        });
    }
}

/// The schema `Payment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// The property `reference`.
    pub reference: String,
    /// The property `settled`.
    pub settled: bool,
}

impl Validate for Payment {}

/// The schema `Problem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The property `title`.
    pub title: String,
    /// The property `status`.
    pub status: i32,
    /// The property `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub detail: Option<String>,
}

impl Validate for Problem {}

/// The input of `createPayment`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePaymentRequest {
    /// The body.
    pub body: NewPayment,
}

impl Validate for CreatePaymentRequest {
    fn validate(&self, at: &mut Violations) {
        self.body.validate(at);
    }
}

/// The responses of `createPayment`.
#[derive(Debug, Clone, PartialEq)]
pub enum CreatePaymentResponse {
    /// The status 201.
    Created(Payment),
    /// The status 402.
    PaymentRequired(Problem),
    /// The status 422.
    UnprocessableEntity(Problem),
}

/// The input of `listPaymentEvents`.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPaymentEventsRequest {
    /// The parameter `reference`.
    pub reference: String,
    /// The parameter `kind`.
    pub kind: Option<Vec<String>>,
    /// The parameter `since`.
    pub since: Option<kennel_core::Timestamp>,
    /// The parameter `X-Trace`.
    pub x_trace: Option<String>,
}

impl Validate for ListPaymentEventsRequest {
    fn validate(&self, at: &mut Violations) {
        at.field("reference", |at| {
            at.length(&self.reference, ..=64);
        });
    }
}

/// The responses of `listPaymentEvents`.
#[derive(Debug, Clone, PartialEq)]
pub enum ListPaymentEventsResponse {
    /// The status 200.
    Ok(Vec<String>),
    /// A status from 400 to 499.
    ClientError(u16, Problem),
}

/// The operations.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// The operation `createPayment`.
    ///
    /// `POST /api/payments`
    async fn create_payment(&self, request: CreatePaymentRequest) -> Result<CreatePaymentResponse, Failure>;

    /// The operation `listPaymentEvents`.
    ///
    /// `GET /api/payments/{reference}/events`
    async fn list_payment_events(
        &self,
        request: ListPaymentEventsRequest,
    ) -> Result<ListPaymentEventsResponse, Failure>;
}
