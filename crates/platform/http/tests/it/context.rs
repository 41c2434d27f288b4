//! What handlers know about their request without being passed it.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use kennel_config::HumanDuration;
use kennel_core::Principal;
use kennel_http::{HttpConfig, Stack};
use kennel_net::{RequestContext, ServerConfig};
use tokio::time::Instant;

use crate::harness::{self, Server, get_text};

/// A layer that believes callers.
async fn authenticate(request: Request, next: Next) -> Response {
    if let Some(subject) = request.headers().get("x-test-subject") {
        let principal = Principal::new(subject.to_str().unwrap(), ["dogs:write"]);
        RequestContext::current().unwrap().set_principal(principal);
    }
    next.run(request).await
}

async fn principal() -> String {
    let context = RequestContext::current().unwrap();
    let known = |known: &Principal| format!("{} may write: {}", known.subject(), known.has_scope("dogs:write"));
    context.principal().map_or_else(|| "nobody".to_owned(), known)
}

/// The milliseconds until the deadline, or nothing.
async fn remaining() -> String {
    let deadline = RequestContext::current().unwrap().deadline();
    deadline.map(|at| (at - Instant::now()).as_millis().to_string()).unwrap_or_default()
}

async fn remaining_after_upload(_: bytes::Bytes) -> String {
    remaining().await
}

async fn start() -> Server {
    let router = Router::new()
        .route("/principal", get(principal))
        .route("/remaining", get(remaining))
        .route("/upload", post(remaining_after_upload))
        .route("/stream", get(remaining))
        .layer(from_fn(authenticate));
    let limits = ServerConfig { request_timeout: HumanDuration::from_secs(20), ..ServerConfig::default() };
    let config = HttpConfig { server: limits, ..harness::config() };
    let router = Stack::new(&config, &harness::metrics().0).exempt(["/stream"]).apply(router);
    Server::start(router, &config).await
}

#[tokio::test]
async fn handlers_know_the_principal_and_spans_only_its_id() {
    let (_subscribed, spans) = kennel_testkit::spans::record();
    let server = start().await;
    let client = harness::client();
    assert_eq!(get_text(client.get(server.url("/principal"))).await, "nobody");
    let known = client.get(server.url("/principal")).header("x-test-subject", "user-1");
    assert_eq!(get_text(known).await, "user-1 may write: true");
    server.stop().await;
    let spans = spans.get_finished_spans().unwrap();
    let attributes = spans.iter().flat_map(|span| &span.attributes);
    let ids: Vec<_> = attributes.filter(|attribute| attribute.key.as_str() == "enduser.id").collect();
    assert_eq!(ids.iter().map(|id| id.value.to_string()).collect::<Vec<_>>(), ["user-1"]);
    assert!(!format!("{spans:?}").contains("dogs:write"));
}

#[tokio::test]
async fn handlers_know_when_their_request_ends() {
    let server = start().await;
    let client = harness::client();
    let millis: u64 = get_text(client.get(server.url("/remaining"))).await.parse().unwrap();
    assert!((15_000..=20_000).contains(&millis), "{millis}");
    assert_eq!(get_text(client.get(server.url("/stream"))).await, "", "a stream has no limit");

    let slow = futures_util::stream::unfold(0, async |sent| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (sent < 5).then(|| (Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"x")), sent + 1))
    });
    let upload = client.post(server.url("/upload")).body(reqwest::Body::wrap_stream(slow));
    let millis: u64 = get_text(upload).await.parse().unwrap();
    assert!((19_600..=20_000).contains(&millis), "it starts after the upload: {millis}");
    server.stop().await;
}
