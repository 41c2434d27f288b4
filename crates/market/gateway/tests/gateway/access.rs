//! Who may call what: tokens, what is refused, and what upstreams learn about callers.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Echo, Gateway, get_with, routes};

const ISSUER: &str = "https://issuer.example";

/// Signs tokens with the seed of a key.
fn sign(seed: u8, header: &Value, claims: &Value) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn now() -> i64 {
    kennel_core::Clock::now(&kennel_core::SystemClock).as_millis() / 1_000
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "one" })
}

fn claims(scope: &str) -> Value {
    json!({ "iss": ISSUER, "aud": "kennel", "sub": "user-7", "iat": now(), "exp": now() + 300, "jti": "1", "client_id": "test",
        "scope": scope })
}

fn changed(mut value: Value, key: &str, to: impl Into<Value>) -> Value {
    value[key] = to.into();
    value
}

/// A gateway that knows the key of seed 1.
pub(crate) async fn start(folder: &TempDir, text: &str) -> Gateway {
    let public = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(public.public_key());
    let keys =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "one", "x": x }] });
    let file = folder.path().join("keys.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    let env = [
        ("AUTH", "jwt"),
        ("AUTH_ISSUER", ISSUER),
        ("AUTH_AUDIENCE", "kennel"),
        ("AUTH_JWKS_FILE", path(&file)),
        ("AUTH_LEEWAY", "0s"),
    ];
    Gateway::start(text, &env).await
}

/// `Authorization` with a token that is valid for a second or two. On a loaded machine it may be refused already: try again.
pub(crate) fn for_a_moment() -> String {
    format!("Bearer {}", sign(1, &header(), &changed(claims("candles:read"), "exp", now() + 2)))
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

fn scoped(echo: &Echo) -> String {
    let route = |name: &str, scopes: &str| {
        format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"echo\"\nscopes = {scopes}\n")
    };
    let further = route("read", "[\"candles:read\"]")
        + &route("both", "[\"candles:read\", \"candles:write\"]")
        + &route("any", "[]");
    routes(echo.address, "") + &further
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Routes with the status of their response.
type Statuses = [(&'static str, u16); 4];

/// Each role, as its scopes, with the status of each route; `None` for a request without a token.
const ROLES: [(Option<&str>, Statuses); 4] = [
    (None, [("/public", 200), ("/any", 401), ("/read", 401), ("/both", 401)]),
    (Some(""), [("/public", 200), ("/any", 200), ("/read", 403), ("/both", 403)]),
    (Some("candles:read"), [("/public", 200), ("/any", 200), ("/read", 200), ("/both", 403)]),
    (Some("candles:write candles:read"), [("/public", 200), ("/any", 200), ("/read", 200), ("/both", 200)]),
];

#[tokio::test]
async fn roles_open_the_routes_of_their_scopes() {
    let (echo, folder) = (Echo::start().await, tempfile::tempdir().unwrap());
    let gateway = start(&folder, &scoped(&echo)).await;
    for (scope, expected) in ROLES {
        let credentials = scope.map(|scope| bearer(&sign(1, &header(), &claims(scope)))).unwrap_or_default();
        for (route, status) in expected {
            // The second time, the token is known.
            for _ in 0..2 {
                let answer = get_with(gateway.http, route, &credentials).await;
                assert_eq!(answer.status, status, "{scope:?} {route}: {answer:?}");
                match status {
                    401 => assert_eq!(
                        (answer.code().as_str(), answer.header("www-authenticate")),
                        ("unauthenticated", Some("Bearer"))
                    ),
                    403 => {
                        assert_eq!(answer.code(), "permission_denied");
                        assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
                    }
                    _ if route != "/public" => assert_eq!(answer.got("x-auth-subject"), ["user-7"]),
                    _ => assert!(answer.got("x-auth-subject").is_empty()),
                }
            }
        }
    }
    let forged =
        bearer(&sign(1, &header(), &claims("candles:read"))) + "x-auth-subject: admin\r\nx_auth_scopes: all\r\n";
    let answer = get_with(gateway.http, "/read", &forged).await;
    assert_eq!(
        (answer.got("x-auth-subject"), answer.got("x-auth-scopes")),
        (vec!["user-7".into()], vec!["candles:read".into()])
    );
    assert!(answer.got("x_auth_scopes").is_empty());
    // What `Connection` names is removed before the gateway says who calls.
    let stripping = bearer(&sign(1, &header(), &claims("candles:read"))) + "connection: x-auth-subject\r\n";
    assert_eq!(get_with(gateway.http, "/read", &stripping).await.got("x-auth-subject"), ["user-7"]);
    // A path that is normalised has the access of what it leads to.
    assert_eq!(get_with(gateway.http, "/public/../read", "").await.status, 401);
    assert_eq!(get_with(gateway.http, "/public/%2e%2e/read", "").await.status, 401);
    assert_eq!(get_with(gateway.http, "//read", "").await.status, 401);
}

#[tokio::test]
async fn streams_end_when_the_token_expires() {
    let (echo, folder) = (Echo::start().await, tempfile::tempdir().unwrap());
    let route = |path: &str, more: &str| {
        format!("[[routes]]\nname = \"{path}\"\npath = \"/{path}\"\nupstream = \"echo\"\nscopes = []\n{more}\n")
    };
    let gateway = start(&folder, &(scoped(&echo) + &route("sse", "") + &route("ws", "websocket = true"))).await;
    for (path, headers) in [("/sse", "connection: close\r\n"), ("/ws", "connection: upgrade\r\nupgrade: websocket\r\n")]
    {
        loop {
            // Returns when the connection ends: neither stream ends by itself.
            let answer = get_with(gateway.http, path, &format!("{headers}authorization: {}\r\n", for_a_moment())).await;
            match answer.status {
                401 => {}
                200 => break assert!(answer.body.ends_with("\n\n\r\n0\r\n\r\n"), "as if it were complete: {answer:?}"),
                status => break assert_eq!(status, 101, "{answer:?}"),
            }
        }
    }
    gateway.metric(r#"gateway_streams{kind="websocket"} 0"#).await;
    gateway.metric(r#"gateway_streams{kind="sse"} 0"#).await;
}

#[tokio::test]
async fn each_refused_token_has_its_code() {
    let (echo, folder) = (Echo::start().await, tempfile::tempdir().unwrap());
    let gateway = start(&folder, &scoped(&echo)).await;
    let valid = claims("candles:read");
    let unsigned = sign(1, &changed(header(), "alg", "none"), &valid);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    for (token, code) in [
        (sign(1, &header(), &changed(valid.clone(), "exp", now() - 300)), "expired"),
        (sign(1, &header(), &changed(valid.clone(), "nbf", now() + 300)), "not_yet_valid"),
        (sign(1, &header(), &changed(valid.clone(), "aud", "other")), "wrong_audience"),
        (sign(1, &header(), &changed(valid.clone(), "iss", "https://other")), "wrong_issuer"),
        (sign(1, &changed(header(), "typ", "JWT"), &valid), "wrong_type"),
        (sign(1, &changed(header(), "alg", "ES256"), &valid), "wrong_algorithm"),
        (sign(1, &changed(header(), "kid", "two"), &valid), "unknown_key"),
        (sign(2, &header(), &valid), "bad_signature"),
        (format!("{unsigned}."), "unsigned"),
        ("nonsense".to_owned(), "malformed"),
    ] {
        let answer = get_with(gateway.http, "/read", &bearer(&token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, code));
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{answer:?}");
        gateway.metric(&format!(r#"gateway_refused_total{{reason="{code}",route="read"}} 1"#)).await;
    }
}
