//! A client of a document in OpenAPI 3.0, and the mock of its server.

use std::sync::Arc;

use kennel_client::mock::MockServer;
use kennel_client::{ApiConfig, Client, ClientMetrics};
use kennel_core::{ErrorKind, Timestamp};
use prometheus::Registry;
use shop_clients::payments::PaymentsClient;
use shop_clients::payments::mock::PaymentsMock;
use shop_contracts::payments::{
    Api as _, CreatePaymentRequest, CreatePaymentResponse, ListPaymentEventsRequest, ListPaymentEventsResponse,
    NewPayment, Payment, Problem,
};

async fn start(credential: &str) -> (PaymentsClient, Arc<PaymentsMock>, MockServer) {
    let (mock, server) = PaymentsMock::start("key-1").await.unwrap();
    let config = ApiConfig { api_url: server.url(), api_credential: Some(credential.into()), api_private: true };
    let metrics = ClientMetrics::register(&Registry::new()).unwrap();
    let client = Client::new("payments", &config.client(), &metrics).unwrap();
    (PaymentsClient::new(client, &config).unwrap(), mock, server)
}

fn payment(amount: i64) -> CreatePaymentRequest {
    CreatePaymentRequest { body: NewPayment { amount, currency: "EUR".to_owned(), description: None } }
}

fn problem(status: i32) -> Problem {
    Problem { title: "Refused".to_owned(), status, detail: Some("the card has expired".to_owned()) }
}

#[tokio::test]
async fn requests_and_responses_arrive_as_they_were_sent() {
    let (client, mock, _server) = start("key-1").await;
    let created = CreatePaymentResponse::Created(Payment { reference: "p/1 ä".to_owned(), settled: false });
    let refused = CreatePaymentResponse::PaymentRequired(problem(402));
    mock.create_payment.push(created.clone());
    mock.create_payment.push(refused.clone());
    let mut described = payment(5);
    described.body.description = Some(None);
    assert_eq!(client.create_payment(described.clone()).await.unwrap(), created);
    assert_eq!(client.create_payment(payment(6)).await.unwrap(), refused);
    assert_eq!(mock.create_payment.take_requests(), [described, payment(6)]);

    let events = ListPaymentEventsResponse::Ok(vec!["a".to_owned()]);
    mock.list_payment_events.push(events.clone());
    mock.list_payment_events.push(ListPaymentEventsResponse::ClientError(410, problem(410)));
    let request = ListPaymentEventsRequest {
        reference: "p/1 ä?#".to_owned(),
        kind: Some(vec!["x&y".to_owned(), "z".to_owned()]),
        since: Some(Timestamp::from_millis(1_000).unwrap()),
        x_trace: Some("t-1".to_owned()),
    };
    assert_eq!(client.list_payment_events(request.clone()).await.unwrap(), events);
    let second = client.list_payment_events(request.clone()).await.unwrap();
    assert_eq!(second, ListPaymentEventsResponse::ClientError(410, problem(410)));
    assert_eq!(mock.list_payment_events.take_requests(), [request.clone(), request]);
}

#[tokio::test]
async fn what_the_document_does_not_declare_is_a_failure() {
    let (client, mock, _server) = start("wrong").await;
    let failure = client.create_payment(payment(5)).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::BadUpstream, "{failure}");
    assert!(mock.create_payment.take_requests().is_empty());

    let (client, mock, _server) = start("key-1").await;
    mock.create_payment.fail(ErrorKind::Unavailable);
    assert_eq!(client.create_payment(payment(5)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    // The mock checks what a server would: the amount has to be positive.
    let refused = client.create_payment(payment(0)).await.unwrap();
    assert!(matches!(refused, CreatePaymentResponse::UnprocessableEntity(problem) if problem.status == 422));
    let request = ListPaymentEventsRequest { reference: "..".to_owned(), kind: None, since: None, x_trace: None };
    assert_eq!(client.list_payment_events(request).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A read is repeated after a failure of the server.
#[tokio::test]
async fn transient_failures_of_reads_are_retried() {
    let (client, mock, _server) = start("key-1").await;
    mock.list_payment_events.fail(ErrorKind::Unavailable);
    mock.list_payment_events.push(ListPaymentEventsResponse::Ok(Vec::new()));
    let request = ListPaymentEventsRequest { reference: "p".to_owned(), kind: None, since: None, x_trace: None };
    assert_eq!(client.list_payment_events(request).await.unwrap(), ListPaymentEventsResponse::Ok(Vec::new()));
    assert_eq!(mock.list_payment_events.take_requests().len(), 2);
}
