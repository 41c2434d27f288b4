//! What a request needs to pass, by its headers.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use kennel_auth::{AccessRules, ApiKeys, Gate, gate};
use kennel_core::ErrorKind;
use kennel_net::{AccessCheck as _, Operation};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::issuer::{NOW, Published, SigningKey, metrics, verifier};

const READ: Operation<'static> = Operation::Http(&Method::GET, "/dogs");
const WRITE: Operation<'static> = Operation::Grpc { path: "/dogs.v1.DogService/CreateDog", reads: false };

fn rules() -> AccessRules {
    AccessRules::new()
        .public(["GET /"])
        .scope("dogs:read", ["GET /dogs"])
        .scope("dogs:write", ["dogs.v1.DogService/CreateDog"])
}

fn api_keys() -> ApiKeys {
    let hash = format!("{:x}", Sha256::digest("api-key-1"));
    ApiKeys::parse(&format!("importer {hash} dogs:write").into()).unwrap()
}

fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The subject, or kind, code and challenge of the refusal.
async fn outcome(
    gate: &Gate,
    operation: Operation<'_>,
    headers: &HeaderMap,
) -> Result<Option<String>, (ErrorKind, &'static str, String)> {
    let checked = gate.check(operation, headers).await;
    checked.map(|caller| caller.map(|caller| caller.principal.subject().to_owned())).map_err(|denied| {
        let challenge = denied.challenge().map_or("", |challenge| challenge.to_str().unwrap()).to_owned();
        (denied.kind(), denied.code(), challenge)
    })
}

fn unauthenticated(code: &'static str, challenge: &str) -> Result<Option<String>, (ErrorKind, &'static str, String)> {
    Err((ErrorKind::Unauthenticated, code, challenge.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn tokens_and_api_keys_pass_with_their_scopes() {
    let key = SigningKey::new("k1", 1);
    let gate = Gate::new(rules(), Some(verifier(Published::of(&[&key]))), api_keys(), metrics());
    let token = key.token(json!({}), json!({}));
    let expired = key.token(json!({}), json!({ "exp": 1 }));
    let with_token = headers(&[(AUTHORIZATION, &format!("bearer  {token}"))]);
    let with_key = headers(&[(gate::API_KEY, "api-key-1")]);
    let expired = headers(&[(AUTHORIZATION, &format!("Bearer {expired}"))]);
    let nothing = HeaderMap::new();

    assert_eq!(outcome(&gate, READ, &with_token).await, Ok(Some("user-1".to_owned())));
    assert_eq!(outcome(&gate, WRITE, &with_key).await, Ok(Some("key:importer".to_owned())));
    let missing = |scope: &str| format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    let forbidden = |scope: &str| Err((ErrorKind::PermissionDenied, "permission_denied", missing(scope)));
    assert_eq!(outcome(&gate, WRITE, &with_token).await, forbidden("dogs:write"));
    assert_eq!(outcome(&gate, READ, &with_key).await, forbidden("dogs:read"));
    let challenge = "Bearer error=\"invalid_token\", error_description=\"the token has expired\"";
    assert_eq!(outcome(&gate, READ, &expired).await, unauthenticated("expired", challenge));
    assert_eq!(outcome(&gate, READ, &nothing).await, unauthenticated("unauthenticated", "Bearer"));

    let public = Operation::Http(&Method::GET, "/");
    assert_eq!(outcome(&gate, public, &expired).await, Ok(None), "credentials do not matter there");
    let unlisted = Operation::Http(&Method::DELETE, "/dogs");
    assert_eq!(outcome(&gate, unlisted, &nothing).await, unauthenticated("unauthenticated", "Bearer"));
    let closed = Err((ErrorKind::PermissionDenied, "permission_denied", String::new()));
    assert_eq!(outcome(&gate, unlisted, &with_token).await, closed, "what has no rule is open to no one");
}

#[tokio::test(start_paused = true)]
async fn tokens_end_after_their_leeway_and_api_keys_never() {
    let key = SigningKey::new("k1", 1);
    let gate = Gate::new(rules(), Some(verifier(Published::of(&[&key]))), api_keys(), metrics());
    for (exp, seconds) in [(NOW + 300, Some(360)), (NOW - 59, Some(1)), (i64::MAX, None)] {
        let token = format!("Bearer {}", key.token(json!({}), json!({ "exp": exp })));
        let caller = gate.check(READ, &headers(&[(AUTHORIZATION, &token)])).await.unwrap().unwrap();
        let left = caller.expires.map(|end| end.duration_since(Instant::now()).as_secs());
        if seconds.is_some() {
            assert_eq!(left, seconds, "{exp}");
        } else {
            assert!(left.is_none_or(|left| left > 1_000_000_000), "{left:?}");
        }
    }
    let caller = gate.check(WRITE, &headers(&[(gate::API_KEY, "api-key-1")])).await.unwrap().unwrap();
    assert_eq!(caller.expires, None);
}

#[tokio::test(start_paused = true)]
async fn other_and_several_credentials_are_refused() {
    let key = SigningKey::new("k1", 1);
    let gate = Gate::new(rules(), Some(verifier(Published::of(&[&key]))), api_keys(), metrics());
    let bearer = format!("Bearer {}", key.token(json!({}), json!({})));
    for (code, pairs) in [
        ("unauthenticated", vec![(AUTHORIZATION, "Basic YTpi")]),
        ("unauthenticated", vec![(AUTHORIZATION, "Bearer")]),
        ("malformed", vec![(AUTHORIZATION, "Bearer ")]),
        ("malformed", vec![(AUTHORIZATION, bearer.as_str()), (AUTHORIZATION, bearer.as_str())]),
        ("malformed", vec![(AUTHORIZATION, bearer.as_str()), (gate::API_KEY, "api-key-1")]),
        ("malformed", vec![(gate::API_KEY, "api-key-1"), (gate::API_KEY, "api-key-1")]),
        ("unknown_api_key", vec![(gate::API_KEY, "api-key-2")]),
    ] {
        let (kind, found, _) = outcome(&gate, READ, &headers(&pairs)).await.unwrap_err();
        assert_eq!((kind, found), (ErrorKind::Unauthenticated, code), "{pairs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_issuer_only_api_keys_pass() {
    let gate = Gate::new(rules(), None, api_keys(), metrics());
    let with_key = headers(&[(gate::API_KEY, "api-key-1")]);
    assert_eq!(outcome(&gate, WRITE, &with_key).await, Ok(Some("key:importer".to_owned())));
    let token = headers(&[(AUTHORIZATION, "Bearer a.b.c")]);
    assert_eq!(outcome(&gate, WRITE, &token).await, unauthenticated("unauthenticated", "ApiKey"));
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_unreachable_requests_fail_as_unavailable() {
    let key = SigningKey::new("k1", 1);
    let published = Published::of(&[&key]);
    *published.fails.lock().unwrap() = true;
    let gate = Gate::new(rules(), Some(verifier(published)), ApiKeys::default(), metrics());
    let headers = headers(&[(AUTHORIZATION, &format!("Bearer {}", key.token(json!({}), json!({}))))]);
    let (kind, code, _) = outcome(&gate, READ, &headers).await.unwrap_err();
    assert_eq!((kind, code), (ErrorKind::Unavailable, "unavailable"));
}
