//! Requests that are refused before their handler.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue};
use kennel_core::Principal;
use kennel_http::Stack;
use kennel_net::{AccessCheck, AccessDenied, Authenticated, Operation, RequestContext};

use crate::harness::{self, Server, get_text, problem};

/// Believes the header `x-test-subject`; only `admin` may write, and no one can be checked who is `unknown`.
struct Believing;

#[async_trait]
impl AccessCheck for Believing {
    async fn check(
        &self,
        operation: Operation<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<Authenticated>, AccessDenied> {
        let Operation::Http(method, route) = operation else { unreachable!("over HTTP") };
        if route == "/open" {
            return Ok(None);
        }
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let Some(subject) = headers.get("x-test-subject") else {
            return Err(AccessDenied::unauthenticated("expired", "the token has expired", challenge));
        };
        match (subject.to_str().unwrap(), method.as_str(), route) {
            ("unknown", ..) => Err(AccessDenied::unavailable("the issuer at 10.0.0.7 does not answer")),
            ("admin", ..) | (_, "GET", "/dogs/{id}") => {
                Ok(Some(Principal::new(subject.to_str().unwrap(), [""; 0]).into()))
            }
            _ => Err(AccessDenied::forbidden("the scope dogs:write is required", None)),
        }
    }
}

async fn subject() -> String {
    let context = RequestContext::current().unwrap();
    context.principal().map_or_else(|| "nobody".to_owned(), |principal| principal.subject().to_owned())
}

#[tokio::test]
async fn a_route_is_checked_before_its_handler_and_the_answer_is_a_problem() {
    let router =
        Router::new().route("/open", get(subject)).route("/dogs/{id}", get(subject)).route("/dogs", post(subject));
    let (metrics, registry) = harness::metrics();
    let stack = Stack::new(&harness::config(), &metrics).with_access(Some(Arc::new(Believing)));
    let server = Server::start(stack.apply(router), &harness::config()).await;
    let client = harness::client();
    let get = |path: &str| client.get(server.url(path));

    assert_eq!(get_text(get("/open")).await, "nobody");
    assert_eq!(get_text(get("/dogs/7").header("x-test-subject", "user-1")).await, "user-1");
    let (head, body) = problem(get("/dogs/7")).await;
    assert_eq!(
        (head.status.as_u16(), &body["code"], &body["detail"]),
        (401, &"expired".into(), &"the token has expired".into())
    );
    assert_eq!(head.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_eq!(body["request_id"], head.headers["x-request-id"].to_str().unwrap());

    let large = client.post(server.url("/dogs")).header("x-test-subject", "user-1").body(vec![0; 5_000_000]);
    let (head, body) = problem(large).await;
    assert_eq!((head.status.as_u16(), &body["code"]), (403, &"permission_denied".into()));
    assert!(!head.headers.contains_key("www-authenticate"));

    let (head, body) = problem(get("/dogs/7").header("x-test-subject", "unknown")).await;
    assert_eq!((head.status.as_u16(), &body["code"], body.get("detail")), (503, &"unavailable".into(), None));
    assert_eq!(problem(get("/nothing")).await.0.status, 404, "what is not there is the same for everyone");
    let text = kennel_telemetry::metrics::encode(&registry);
    assert!(text.contains(r#"http_requests_total{method="GET",route="/dogs/{id}",status="401"} 1"#), "{text}");
    server.stop().await;
}
