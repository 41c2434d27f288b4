//! Which tokens are accepted, and the reason for which each other one is refused.

use async_trait::async_trait;
use kennel_auth::{Algorithm, JwkSet, KeySet, KeySource, Refusal, Verifier};
use kennel_core::{BoxError, Principal};
use serde_json::{Value, json};

use crate::issuer::{
    AUDIENCE, ISSUER, MAX_AGE, MIN_INTERVAL, NOW, Published, SigningKey, clock, encode, metrics, rules, valid_claims,
    verifier,
};

async fn refusal(verifier: &Verifier, token: &str) -> Option<Refusal> {
    verifier.verify(token).await.err().map(|error| error.refusal().expect("the keys are available"))
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_names_its_caller() {
    let key = SigningKey::new("k1", 1);
    let verifier = verifier(Published::of(&[&key]));
    for (header, claims) in [
        (json!({}), json!({})),
        (json!({ "typ": "application/AT+JWT" }), json!({ "aud": ["other", AUDIENCE] })),
        (json!({ "alg": "Ed25519" }), json!({ "nbf": NOW, "exp": 4e9, "unknown": { "claim": [1] } })),
        // Clocks may differ by the leeway.
        (json!({}), json!({ "exp": NOW - 59, "nbf": NOW - 100 })),
        (json!({}), json!({ "nbf": NOW + 60 })),
        (json!({ "jku": "http://evil.example", "jwk": { "kty": "OKP" }, "x5c": [1] }), json!({})),
    ] {
        let caller = verifier.verify(&key.token(header, claims.clone())).await.unwrap();
        assert_eq!(caller.principal, Principal::new("user-1", ["dogs:read"]), "{claims}");
    }
    let caller = verifier.verify(&key.token(json!({}), json!({ "scope": null }))).await.unwrap();
    assert_eq!(caller.principal, Principal::new("user-1", [""; 0]));
    assert_eq!(caller.expires_at.as_millis(), (NOW + 300) * 1_000);
}

#[tokio::test(start_paused = true)]
async fn every_other_token_is_refused_with_its_reason() {
    let key = SigningKey::new("k1", 1);
    let verifier = verifier(Published::of(&[&key]));
    let of = |header: Value, claims: Value| key.token(header, claims);
    let claims = |claims: Value| key.token(json!({}), claims);
    let valid = of(json!({}), json!({}));
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let other = SigningKey::new("k1", 2).token(json!({}), json!({}));
    let unsigned =
        |alg: &str| format!("{}.{}.", encode(&json!({ "alg": alg, "typ": "at+jwt" })), encode(&valid_claims()));
    let header_only = |header: &str| format!("{}.{}.AAAA", encode(&json!(header)), encode(&valid_claims()));
    let long = of(json!({ "extra": "x".repeat(9_000) }), json!({}));
    let changed_claims =
        format!("{}.{}.{signature}", message.split_once('.').unwrap().0, encode(&json!({ "sub": "root" })));
    let table = [
        (Refusal::Malformed, String::new()),
        (Refusal::Malformed, "a".to_owned()),
        (Refusal::Malformed, "a.b".to_owned()),
        (Refusal::Malformed, "a.b.c".to_owned()),
        (Refusal::Malformed, format!("{valid}.")),
        (Refusal::Malformed, format!("{valid}.{signature}")),
        (Refusal::Malformed, format!(" {valid}")),
        (Refusal::Malformed, format!("{valid}=")),
        (Refusal::Malformed, valid.replace('.', "+")),
        (Refusal::Malformed, format!("{message}.A")),
        (Refusal::Malformed, header_only("not an object")),
        (Refusal::Malformed, long),
        (Refusal::Malformed, of(json!({ "crit": ["exp"] }), json!({}))),
        (Refusal::Malformed, of(json!({ "alg": null }), json!({}))),
        (Refusal::Malformed, of(json!({ "alg": 1 }), json!({}))),
        (Refusal::Malformed, of(json!({ "kid": 1 }), json!({}))),
        (Refusal::Malformed, claims(json!({ "iss": null }))),
        (Refusal::Malformed, claims(json!({ "aud": null }))),
        (Refusal::Malformed, claims(json!({ "aud": 1 }))),
        (Refusal::Malformed, claims(json!({ "exp": null }))),
        (Refusal::Malformed, claims(json!({ "exp": "4102444800" }))),
        (Refusal::Malformed, claims(json!({ "nbf": "0" }))),
        (Refusal::Malformed, claims(json!({ "sub": null }))),
        (Refusal::Malformed, claims(json!({ "sub": "" }))),
        (Refusal::Malformed, claims(json!({ "sub": "a\nb" }))),
        (Refusal::Malformed, claims(json!({ "sub": "x".repeat(256) }))),
        (Refusal::Malformed, claims(json!({ "scope": ["dogs:read"] }))),
        (Refusal::Unsigned, unsigned("none")),
        (Refusal::Unsigned, unsigned("NoNe")),
        (Refusal::Unsigned, of(json!({ "alg": "none" }), json!({}))),
        (Refusal::WrongAlgorithm, of(json!({ "alg": "HS256" }), json!({}))),
        (Refusal::WrongAlgorithm, of(json!({ "alg": "eddsa" }), json!({}))),
        (Refusal::WrongAlgorithm, of(json!({ "alg": "ES256" }), json!({}))),
        (Refusal::WrongType, of(json!({ "typ": null }), json!({}))),
        (Refusal::WrongType, of(json!({ "typ": "JWT" }), json!({}))),
        (Refusal::WrongType, of(json!({ "typ": "rt+jwt" }), json!({}))),
        (Refusal::UnknownKey, of(json!({ "kid": "k2" }), json!({}))),
        (Refusal::UnknownKey, of(json!({ "kid": "K1" }), json!({}))),
        (Refusal::UnknownKey, of(json!({ "kid": null }), json!({}))),
        (Refusal::BadSignature, other),
        (Refusal::BadSignature, format!("{message}.")),
        (Refusal::BadSignature, format!("{message}.AAAA")),
        (Refusal::BadSignature, changed_claims),
        (Refusal::WrongIssuer, claims(json!({ "iss": "https://id.example/" }))),
        (Refusal::WrongIssuer, claims(json!({ "iss": "" }))),
        (Refusal::WrongAudience, claims(json!({ "aud": "kennel2" }))),
        (Refusal::WrongAudience, claims(json!({ "aud": [] }))),
        (Refusal::WrongAudience, claims(json!({ "aud": ["ken", "nel"] }))),
        (Refusal::Expired, claims(json!({ "exp": NOW - 60 }))),
        (Refusal::Expired, claims(json!({ "exp": 0 }))),
        (Refusal::Expired, claims(json!({ "exp": -1e300 }))),
        (Refusal::NotYetValid, claims(json!({ "nbf": NOW + 61 }))),
        (Refusal::NotYetValid, claims(json!({ "nbf": 1e300 }))),
    ];
    for (expected, token) in table {
        assert_eq!(refusal(&verifier, &token).await, Some(expected), "{token}");
    }
    assert_eq!(refusal(&verifier, &valid).await, None);
}

/// Keys and tokens that OpenSSL has made, in `openssl.json`.
struct OpenSsl(Value);

#[async_trait]
impl KeySource for OpenSsl {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        Ok(serde_json::from_value(self.0.clone())?)
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_library_are_verified_with_each_algorithm() {
    let fixture: Value = serde_json::from_str(include_str!("openssl.json")).unwrap();
    let verifier = |algorithms: &[Algorithm]| {
        let keys = KeySet::new(OpenSsl(fixture.clone()), MAX_AGE, MIN_INTERVAL, metrics());
        Verifier::new(rules(algorithms), keys, clock())
    };
    let all = verifier(&Algorithm::ALL);
    let tokens = fixture["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), Algorithm::ALL.len());
    for token in tokens {
        let (name, token) = (token["alg"].as_str().unwrap(), token["token"].as_str().unwrap());
        let caller = all.verify(token).await.unwrap();
        assert_eq!(caller.principal, Principal::new("user-1", ["dogs:read", "dogs:write"]), "{name}");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let forged = format!(
            "{message}.{}",
            if signature.starts_with('A') { signature.replacen('A', "B", 1) } else { format!("A{}", &signature[1..]) }
        );
        assert_eq!(refusal(&all, &forged).await, Some(Refusal::BadSignature), "{name}");
        // An issuer may use only some algorithms.
        let others: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name() != name).collect();
        assert_eq!(refusal(&verifier(&others), token).await, Some(Refusal::WrongAlgorithm), "{name}");
    }
}

/// Confusion of algorithms: the key of one algorithm, named by a token with another one that the issuer may also use.
#[tokio::test(start_paused = true)]
async fn a_key_is_used_with_its_own_algorithm_only() {
    let fixture: Value = serde_json::from_str(include_str!("openssl.json")).unwrap();
    let keys = KeySet::new(OpenSsl(fixture), MAX_AGE, MIN_INTERVAL, metrics());
    let verifier = Verifier::new(rules(&Algorithm::ALL), keys, clock());
    let signer = SigningKey::new("any", 1);
    for (kid, own) in [("ed", "EdDSA"), ("p256", "ES256"), ("p384", "ES384"), ("rsa", "RS256"), ("pss", "PS256")] {
        for algorithm in Algorithm::ALL {
            let token = signer.token(json!({ "kid": kid, "alg": algorithm.name() }), json!({ "iss": ISSUER }));
            let expected = if algorithm.name() == own { Refusal::BadSignature } else { Refusal::WrongAlgorithm };
            assert_eq!(refusal(&verifier, &token).await, Some(expected), "{kid} {algorithm:?}");
        }
    }
    let shared = signer.token(json!({ "kid": "shared" }), json!({}));
    assert_eq!(refusal(&verifier, &shared).await, Some(Refusal::UnknownKey), "a symmetric key is no key");
}
