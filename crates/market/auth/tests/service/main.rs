//! The program: an operator and a client use it, and every other service can verify its tokens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use kennel_testkit::probe;
use serde_json::{Value, json};

use crate::program::{PASSWORD, Program, SECRET, refuses, run};

#[tokio::test]
async fn an_operator_creates_accounts_and_clients_get_tokens() {
    let program = Program::start(&[("FIRST_ADMIN", "admin"), ("FIRST_ADMIN_PERMISSIONS", "market:read")]).await;
    let (status, tokens) = program.log_in("admin", PASSWORD).await;
    assert_eq!(
        (status, &tokens["token_type"], &tokens["scope"]),
        (201, &json!("Bearer"), &json!("market:read")),
        "{tokens}"
    );
    assert_eq!(program.verify(&tokens).await.unwrap().principal.scopes().collect::<Vec<_>>(), ["market:read"]);

    let (status, next) = program.refresh(&tokens["refresh_token"]).await;
    assert_eq!(
        (status, program.refresh(&tokens["refresh_token"]).await.1["refresh_token"] == next["refresh_token"]),
        (200, true)
    );
    let revoked = program.post("/api/v1/sessions/revoke", json!({ "refresh_token": next["refresh_token"] })).await;
    assert_eq!(revoked.0, 204);
    let (status, problem) = program.refresh(&next["refresh_token"]).await;
    assert_eq!((status, &problem["code"]), (401, &json!("invalid_refresh_token")));
    for (name, password) in [("admin", "wrong"), ("nobody", PASSWORD)] {
        let (status, problem) = program.log_in(name, password).await;
        assert_eq!((status, &problem["code"]), (401, &json!("invalid_credentials")));
    }
    assert_eq!(program.post("/api/v1/sessions", json!({ "name": "admin" })).await.0, 422);

    program.command(&["role", "set", "importer", "--permission", "dogs:write"], "");
    let secret = program.command(&["account", "create-service", "nightly", "--role", "importer"], "");
    let (status, tokens) = program.post("/api/v1/tokens", json!({ "name": "nightly", "secret": secret.trim() })).await;
    assert_eq!((status, &tokens["scope"], tokens.get("refresh_token")), (200, &json!("dogs:write"), None), "{tokens}");
    program.command(&["account", "create-user", "ann", "--role", "importer"], "a long password\n");
    let (status, tokens) = program.log_in("ann", "a long password").await;
    assert_eq!((status, &tokens["scope"]), (201, &json!("dogs:write")));
    program.command(&["account", "disable", "ann"], "");
    assert_eq!(program.refresh(&tokens["refresh_token"]).await.0, 401);
    let accounts = program.command(&["account", "list"], "");
    assert!(accounts.contains("ann") && accounts.contains("disabled") && !accounts.contains("argon2"), "{accounts}");
    let kid = program.command(&["key", "rotate"], "");
    let keys = program.command(&["key", "list"], "");
    assert!(
        keys.starts_with(&format!("{}  created at", kid.split(' ').next().unwrap())) && keys.lines().count() == 2,
        "{keys}"
    );
    assert!(program.verify(&tokens).await.is_ok(), "the old key is still published");
    let kid = program.command(&["key", "rotate", "--revoke"], "");
    let keys = program.command(&["key", "list"], "");
    assert!(keys.starts_with(kid.split(' ').next().unwrap()) && keys.lines().count() == 1, "{keys}");

    let output = program.stop().await;
    for hidden in [PASSWORD, SECRET, secret.trim(), tokens["access_token"].as_str().unwrap(), "krt_", "argon2id"] {
        assert!(!output.contains(hidden), "{hidden} in {output}");
    }
}

#[tokio::test]
async fn tokens_are_not_stored_on_the_way_and_keys_are_public() {
    let program = Program::start(&[("FIRST_ADMIN", "admin")]).await;
    let keys = probe::get(program.http, "/.well-known/jwks.json").await.unwrap();
    assert_eq!((keys.status, keys.header("cache-control")), (200, Some("public, max-age=60")));
    let text = String::from_utf8(keys.body).unwrap();
    let key = &serde_json::from_str::<Value>(&text).unwrap()["keys"][0];
    assert_eq!(
        (&key["kty"], &key["alg"], &key["use"], key.get("d")),
        (&json!("OKP"), &json!("EdDSA"), &json!("sig"), None)
    );
    let response = program.send("/api/v1/sessions", &json!({ "name": "admin", "password": PASSWORD })).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    program.stop().await;
}

#[test]
fn what_cannot_be_safe_is_refused_at_the_start() {
    refuses(&[("STORAGE", "clickhouse")], "STORAGE");
    refuses(&[("TOKEN_SECRET", "short"), ("TOKEN_SECRET_FILE", "")], "TOKEN_SECRET");
    refuses(&[("AUTH_ISSUER", "")], "AUTH_ISSUER");
    let reachable = [("FIRST_ADMIN", "admin"), ("SERVER_HOST", "0.0.0.0"), ("AUTH", "none"), ("SERVER_PORT", "0")];
    let output = run(&reachable, &["serve"], "");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("FIRST_ADMIN is for development only") && !text.contains(PASSWORD), "{text}");
}
