//! Calls that are refused before their handler.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use kennel_core::{ErrorKind, Principal};
use kennel_grpc::{CallError, GrpcClientConfig, GrpcServer};
use kennel_net::{AccessCheck, AccessDenied, Authenticated, Operation};
use tokio::time::Instant;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::client::{connect, settings};
use crate::support::{config, raw_call, start_with};

const GET: &str = "/test.v1.Probe/Get";
const DO: &str = "/test.v1.Probe/Do";

/// Believes the header `x-test-subject`; only `admin` may call anything but `Get`.
struct Believing;

#[async_trait]
impl AccessCheck for Believing {
    async fn check(
        &self,
        operation: Operation<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<Authenticated>, AccessDenied> {
        let Operation::Grpc { path, .. } = operation else { unreachable!("over gRPC") };
        let challenge = HeaderValue::from_static("Bearer");
        let Some(subject) = headers.get("x-test-subject").map(|subject| subject.to_str().unwrap()) else {
            return Err(AccessDenied::unauthenticated("malformed", "the token is malformed", challenge));
        };
        match (subject, path) {
            ("unknown", _) => Err(AccessDenied::unavailable("the issuer at 10.0.0.7 does not answer")),
            ("admin", _) | (_, "/test.v1.Probe/Get") => Ok(Some(Principal::new(subject, [""; 0]).into())),
            _ => Err(AccessDenied::forbidden("the scope dogs:write is required", None)),
        }
    }
}

#[tokio::test]
async fn a_method_is_checked_before_its_handler_and_the_status_has_the_code() {
    let server = start_with(config(), |server: GrpcServer| server.with_access(Some(Arc::new(Believing)))).await;
    let client = server.client().await;
    let call = async |path, subject: &'static str| {
        let mut request = Request::new("id".to_owned());
        if !subject.is_empty() {
            request.metadata_mut().insert("x-test-subject", subject.parse().unwrap());
        }
        client.call_path(path, request).await
    };

    assert!(call(GET, "user-1").await.is_ok() && call(DO, "admin").await.is_ok());
    let refused = call(GET, "").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "the token is malformed"));
    assert_eq!(refused.get_details_error_info().unwrap().reason, "malformed");
    assert_eq!(refused.metadata().get("www-authenticate").unwrap(), "Bearer");
    assert_eq!(CallError::from(refused).kind(), ErrorKind::Unauthenticated);

    let forbidden = call(DO, "user-1").await.unwrap_err();
    assert_eq!((forbidden.code(), forbidden.message()), (Code::PermissionDenied, "the scope dogs:write is required"));
    assert_eq!(forbidden.get_details_error_info().unwrap().reason, "permission_denied");
    let unavailable = call(DO, "unknown").await.unwrap_err();
    assert_eq!(unavailable.code(), Code::Unavailable);
    assert!(!format!("{unavailable:?}").contains("10.0.0.7"), "{unavailable:?}");
    server.metric(r#"grpc_server_handled_total{code="UNAUTHENTICATED",fault="caller""#).await;
}

/// Everyone's credentials expire soon.
struct Expiring;

#[async_trait]
impl AccessCheck for Expiring {
    async fn check(&self, _: Operation<'_>, _: &HeaderMap) -> Result<Option<Authenticated>, AccessDenied> {
        let expires = Some(Instant::now() + Duration::from_millis(20));
        Ok(Some(Authenticated { principal: Principal::new("user-1", [""; 0]), expires }))
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_credentials_of_its_caller_expire() {
    let server = start_with(config(), |server| server.with_access(Some(Arc::new(Expiring)))).await;
    let ended = raw_call(server.addr, "/test.v1.Probe/Watch", &[], "wait").await;
    assert_eq!(ended.code(), i32::from(Code::Unauthenticated));
    assert!(!ended.headers.contains_key("grpc-status"), "the stream had started");
    let status = tonic::Status::from_header_map(&ended.trailers.unwrap()).unwrap();
    assert_eq!(
        (status.message(), status.get_details_error_info().unwrap().reason.as_str()),
        ("the credentials have expired", "expired")
    );
    server.metric(r#"grpc_server_handled_total{code="UNAUTHENTICATED",fault="caller",method="Watch""#).await;
}

/// Believes the API key `key-1`.
struct WithKey;

#[async_trait]
impl AccessCheck for WithKey {
    async fn check(
        &self,
        operation: Operation<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<Authenticated>, AccessDenied> {
        if matches!(operation, Operation::Grpc { path: "/grpc.health.v1.Health/Watch", .. }) {
            return Ok(None);
        }
        let keys: Vec<_> = headers.get_all("x-api-key").iter().collect();
        let challenge = HeaderValue::from_static("ApiKey");
        if keys == ["key-1"] {
            Ok(None)
        } else {
            Err(AccessDenied::unauthenticated("unauthenticated", "no", challenge))
        }
    }
}

#[tokio::test]
async fn a_client_sends_its_api_key() {
    let server = start_with(config(), |server| server.with_access(Some(Arc::new(WithKey)))).await;
    server.health.open().await;
    let with = |key: &str| GrpcClientConfig { grpc_api_key: Some(key.into()), ..settings([server.url()]) };
    assert!(connect(&with("key-1\n")).client.call("id").await.is_ok());
    for config in [with("key-2"), settings([server.url()])] {
        let refused = connect(&config).client.call("id").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(!format!("{config:?}").contains("key-2"));
    }
}
