//! An issuer of tokens, and a source of keys that counts its reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_auth::{Algorithm, AuthMetrics, Jwk, JwkSet, KeySet, KeySource, TokenRules, Verifier};
use kennel_core::{BoxError, Clock, ManualClock, Timestamp};
use prometheus::Registry;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::time::sleep;

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "kennel";
/// The time of the clock, in seconds.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const MAX_AGE: Duration = Duration::from_mins(5);
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// A private key of Ed25519.
pub(crate) struct SigningKey {
    pub(crate) kid: &'static str,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    pub(crate) fn new(kid: &'static str, seed: u8) -> Self {
        Self { kid, pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    pub(crate) fn public(&self) -> Jwk {
        Jwk::ed25519(self.kid, self.pair.public_key().as_ref())
    }

    /// A token that is valid unless `header` or `claims` replace something; a null removes it.
    pub(crate) fn token(&self, header: Value, claims: Value) -> String {
        let header = merged(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid }), header);
        self.sign(&header, &merged(valid_claims(), claims))
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

pub(crate) fn valid_claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": NOW + 300, "scope": "dogs:read" })
}

pub(crate) fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn merged(mut value: Value, with: Value) -> Value {
    let Value::Object(members) = with else { return value };
    let target = value.as_object_mut().unwrap();
    for (name, member) in members {
        match member {
            Value::Null => target.remove(&name),
            member => target.insert(name, member),
        };
    }
    value
}

/// Keys that a test can replace; each read takes a moment.
#[derive(Clone, Default)]
pub(crate) struct Published {
    pub(crate) keys: Arc<Mutex<Vec<Jwk>>>,
    pub(crate) reads: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    pub(crate) fails: Arc<Mutex<bool>>,
}

impl Published {
    pub(crate) fn of(keys: &[&SigningKey]) -> Self {
        let published = Self::default();
        published.publish(keys);
        published
    }

    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySource for Published {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "keys are read twice at the same time");
        sleep(Duration::from_millis(50)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        if *self.fails.lock().unwrap() {
            return Err("the issuer does not answer".into());
        }
        Ok(JwkSet { keys: self.keys.lock().unwrap().clone() })
    }
}

pub(crate) fn rules(algorithms: &[Algorithm]) -> TokenRules {
    TokenRules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: algorithms.to_vec(),
        token_type: "at+jwt".to_owned(),
        leeway: Duration::from_mins(1),
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(NOW * 1_000).unwrap()))
}

pub(crate) fn metrics() -> AuthMetrics {
    AuthMetrics::register(&Registry::new()).unwrap()
}

/// A verifier of these keys.
pub(crate) fn verifier(source: impl KeySource) -> Verifier {
    let keys = KeySet::new(source, MAX_AGE, MIN_INTERVAL, metrics());
    Verifier::new(rules(&[Algorithm::EdDsa]), keys, clock())
}
