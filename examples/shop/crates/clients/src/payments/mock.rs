//! A mock of the server that `api/payments.yaml` describes, for tests.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Router, routing};
use kennel_client::mock::{self, Answers, MockServer};
use kennel_core::Failure;
use kennel_http::contract::{self, DeclaredError, Input};
use kennel_http::{HttpError, Problem};
use shop_contracts::payments::{self, Api as _};

/// The answers of the server. Each operation has a queue of its own.
#[derive(Debug)]
pub struct PaymentsMock {
    credential: String,
    /// The answers of `createPayment`, and its requests.
    pub create_payment: Answers<payments::CreatePaymentRequest, payments::CreatePaymentResponse>,
    /// The answers of `listPaymentEvents`, and its requests.
    pub list_payment_events: Answers<payments::ListPaymentEventsRequest, payments::ListPaymentEventsResponse>,
}

impl PaymentsMock {
    /// Starts the server on a free port of this machine.
    pub async fn start(credential: &str) -> io::Result<(Arc<Self>, MockServer)> {
        let mock = Arc::new(Self {
            credential: credential.to_owned(),
            create_payment: Answers::new("createPayment"),
            list_payment_events: Answers::new("listPaymentEvents"),
        });
        let server = MockServer::start(routes().with_state(Arc::clone(&mock))).await?;
        Ok((mock, server))
    }
}

#[async_trait]
impl payments::Api for PaymentsMock {
    async fn create_payment(
        &self,
        request: payments::CreatePaymentRequest,
    ) -> Result<payments::CreatePaymentResponse, Failure> {
        self.create_payment.next(request)
    }

    async fn list_payment_events(
        &self,
        request: payments::ListPaymentEventsRequest,
    ) -> Result<payments::ListPaymentEventsResponse, Failure> {
        self.list_payment_events.next(request)
    }
}

/// The implementation of the operations.
pub type Shared = Arc<PaymentsMock>;

/// The routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/payments", routing::post(create_payment))
        .route("/api/payments/{reference}/events", routing::get(list_payment_events))
}

/// The error of the API for a problem of the platform.
fn problem_of(problem: &Problem) -> payments::Problem {
    payments::Problem {
        title: problem.title.clone().into_owned(),
        status: i32::from(problem.status),
        detail: Some(problem.detail.clone().unwrap_or_else(|| problem.title.clone().into_owned())),
    }
}

const ERRORS: &[DeclaredError] = &[
    DeclaredError { statuses: 402..=402, render: |status, problem| contract::problem(status, &problem_of(problem)) },
    DeclaredError { statuses: 422..=422, render: |status, problem| contract::problem(status, &problem_of(problem)) },
];

const ERRORS_2: &[DeclaredError] =
    &[DeclaredError { statuses: 400..=499, render: |status, problem| contract::problem(status, &problem_of(problem)) }];

/// `POST /api/payments`
async fn create_payment(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(mock::authenticate(&api.credential, input.api_key("x-api-key")?)?);
        let request = contract::checked(payments::CreatePaymentRequest { body: input.json().await? })?;
        Ok::<_, HttpError>(api.create_payment(request).await?)
    };
    match answer.await {
        Ok(payments::CreatePaymentResponse::Created(body)) => contract::json(201, &body),
        Ok(payments::CreatePaymentResponse::PaymentRequired(body)) => contract::problem(402, &body),
        Ok(payments::CreatePaymentResponse::UnprocessableEntity(body)) => contract::problem(422, &body),
        Err(error) => contract::failed(error, ERRORS),
    }
}

/// `GET /api/payments/{reference}/events`
async fn list_payment_events(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(mock::authenticate(&api.credential, input.api_key("x-api-key")?)?);
        let request = contract::checked(payments::ListPaymentEventsRequest {
            reference: input.path("reference", contract::text)?,
            kind: input.query_list("kind", contract::text)?,
            since: input.query("since", contract::text)?,
            x_trace: input.header("x-trace", contract::text)?,
        })?;
        Ok::<_, HttpError>(api.list_payment_events(request).await?)
    };
    match answer.await {
        Ok(payments::ListPaymentEventsResponse::Ok(body)) => contract::json(200, &body),
        Ok(payments::ListPaymentEventsResponse::ClientError(status, body)) => contract::problem(status, &body),
        Err(error) => contract::failed(error, ERRORS_2),
    }
}
