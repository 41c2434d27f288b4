//! When the keys of an issuer are read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_auth::key_set::FileKeys;
use kennel_auth::{AuthError, JwkSet, KeySource, Refusal, Verifier};
use kennel_core::BoxError;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::issuer::{MAX_AGE, MIN_INTERVAL, Published, SigningKey, verifier};

fn token(key: &SigningKey) -> String {
    key.token(json!({}), json!({}))
}

/// The results of as many concurrent calls as there are tokens.
async fn all(verifier: &Verifier, tokens: impl IntoIterator<Item = String>) -> Vec<Result<(), AuthError>> {
    let mut calls = JoinSet::new();
    for token in tokens {
        let verifier = verifier.clone();
        calls.spawn(async move { verifier.verify(&token).await.map(drop) });
    }
    calls.join_all().await
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_tokens_cause_one_read() {
    let key = SigningKey::new("k1", 1);
    let published = Published::of(&[&key]);
    let verifier = verifier(published.clone());
    assert_eq!(published.reads(), 0);
    assert!(all(&verifier, vec![token(&key); 100]).await.iter().all(Result::is_ok));
    assert_eq!(published.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_read_once_and_old_and_new_tokens_are_valid() {
    let (old, new) = (SigningKey::new("k1", 1), SigningKey::new("k2", 2));
    let published = Published::of(&[&old]);
    let verifier = verifier(published.clone());
    verifier.verify(&token(&old)).await.unwrap();
    published.publish(&[&old, &new]);
    advance(MIN_INTERVAL).await;
    let tokens = (0..100).map(|number| token(if number % 2 == 0 { &old } else { &new }));
    assert!(all(&verifier, tokens).await.iter().all(Result::is_ok));
    assert_eq!(published.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_cause_one_read_per_interval() {
    let key = SigningKey::new("k1", 1);
    let published = Published::of(&[&key]);
    let verifier = verifier(published.clone());
    verifier.verify(&token(&key)).await.unwrap();
    for round in 0..3 {
        advance(MIN_INTERVAL).await;
        let unknown = (0..1_000).map(|number| key.token(json!({ "kid": format!("{round}-{number}") }), json!({})));
        for result in all(&verifier, unknown).await {
            assert_eq!(result.unwrap_err().refusal(), Some(Refusal::UnknownKey));
        }
        assert_eq!(published.reads(), 2 + round);
    }
    assert!(verifier.verify(&token(&key)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_withdrawn_is_forgotten_when_the_keys_are_read_again() {
    let (old, new) = (SigningKey::new("k1", 1), SigningKey::new("k2", 2));
    let published = Published::of(&[&old, &new]);
    let verifier = verifier(published.clone());
    verifier.verify(&token(&old)).await.unwrap();
    published.publish(&[&new]);
    advance(MAX_AGE.saturating_sub(Duration::from_secs(1))).await;
    assert!(verifier.verify(&token(&old)).await.is_ok());
    advance(Duration::from_secs(1)).await;
    assert!(verifier.verify(&token(&old)).await.is_ok(), "no request waits for the keys");
    sleep(Duration::from_secs(1)).await;
    let withdrawn = verifier.verify(&token(&old)).await.unwrap_err();
    assert_eq!((withdrawn.refusal(), published.reads()), (Some(Refusal::UnknownKey), 2));
    assert!(verifier.verify(&token(&new)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn known_keys_stay_valid_while_the_issuer_does_not_answer() {
    let key = SigningKey::new("k1", 1);
    let published = Published::of(&[&key]);
    *published.fails.lock().unwrap() = true;
    let verifier = verifier(published.clone());
    for _ in 0..10 {
        let error = verifier.verify(&token(&key)).await.unwrap_err();
        assert!(matches!(error, AuthError::Unavailable(_)), "{error}");
    }
    assert_eq!(published.reads(), 1, "it is not asked for every request");
    *published.fails.lock().unwrap() = false;
    advance(Duration::from_secs(5)).await;
    assert!(verifier.verify(&token(&key)).await.is_ok(), "it is asked again soon");
    *published.fails.lock().unwrap() = true;
    advance(MAX_AGE * 10).await;
    assert!(all(&verifier, vec![token(&key); 100]).await.iter().all(Result::is_ok));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(published.reads(), 3);
    let unknown = verifier.verify(&key.token(json!({ "kid": "k2" }), json!({}))).await.unwrap_err();
    assert!(matches!(unknown, AuthError::Unavailable(_)), "the key may be a new one");
    advance(Duration::from_hours(24)).await;
    assert!(matches!(verifier.verify(&token(&key)).await, Err(AuthError::Unavailable(_))), "but not for ever");
}

/// A source that never answers.
struct Silent;

#[async_trait]
impl KeySource for Silent {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_delays_no_request_for_long() {
    let (key, verifier, start) = (SigningKey::new("k1", 1), verifier(Silent), Instant::now());
    assert!(all(&verifier, vec![token(&key); 100]).await.iter().all(Result::is_err));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let at = Instant::now();
    assert!(verifier.verify(&token(&key)).await.is_err());
    assert_eq!(at.elapsed(), Duration::ZERO, "it is not asked again at once");
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_when_its_request_has_ended() {
    let key = SigningKey::new("k1", 1);
    let published = Published::of(&[&key]);
    let verifier = verifier(published.clone());
    assert!(timeout(Duration::from_millis(1), verifier.verify(&token(&key))).await.is_err());
    sleep(Duration::from_millis(100)).await;
    assert!(verifier.verify(&token(&key)).await.is_ok());
    assert_eq!(published.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_file_can_be_replaced() {
    let key = SigningKey::new("k1", 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let verifier = Arc::new(verifier(FileKeys(file.clone())));
    assert!(matches!(verifier.verify(&token(&key)).await, Err(AuthError::Unavailable(_))));
    std::fs::write(&file, serde_json::to_vec(&JwkSet { keys: vec![key.public()] }).unwrap()).unwrap();
    advance(Duration::from_secs(5)).await;
    assert!(verifier.verify(&token(&key)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_read_again_decide_anew_about_a_known_token() {
    let (key, other) = (SigningKey::new("k1", 1), SigningKey::new("k1", 2));
    let published = Published::of(&[&key]);
    let verifier = verifier(published.clone());
    let token = token(&key);
    for _ in 0..2 {
        verifier.verify(&token).await.unwrap();
    }
    published.publish(&[&other]);
    advance(MAX_AGE).await;
    assert!(verifier.verify(&token).await.is_ok(), "no request waits for the keys");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(verifier.verify(&token).await.unwrap_err().refusal(), Some(Refusal::BadSignature));
}
