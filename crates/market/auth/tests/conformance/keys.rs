//! How signing keys are rotated.

use std::sync::Arc;
use std::time::Duration;

use auth::sealing::Keys;
use auth::signing::{ACTIVATION, OVERLAP};

use crate::fixture::{fixture, kid_of, refresh_token, signer};
use crate::store::Store;

pub(crate) async fn old_and_new_keys_are_valid_during_a_rotation(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let old = fixture.log_in().await.access_token;
    let replica = signer(&store.auth, &fixture.keys, &fixture.clock);
    assert_eq!(replica.published().await.unwrap(), fixture.sessions.signer().published().await.unwrap());
    let kid = fixture.sessions.signer().rotate().await.unwrap();
    let new = fixture.log_in().await.access_token;
    for token in [&old, &new] {
        fixture.verify(token).await;
    }
    let published = fixture.sessions.signer().published().await.unwrap();
    assert_eq!((published.keys.len(), published.keys[0].kid.as_ref()), (2, Some(&kid)));

    // A replica that starts after the overlap publishes only the new one.
    fixture.clock.advance(OVERLAP);
    let later = signer(&store.auth, &fixture.keys, &fixture.clock).published().await.unwrap();
    assert_eq!(later.keys, published.keys[..1]);
    // With another secret, the key in use cannot be read; a new one can be created.
    let other = Arc::new(Keys::derive(&"another secret of 32 characters!".into()).unwrap());
    let stranger = signer(&store.auth, &other, &fixture.clock);
    assert!(stranger.published().await.unwrap_err().to_string().contains("TOKEN_SECRET"));
    stranger.rotate().await.unwrap();
    assert_eq!(stranger.published().await.unwrap().keys.len(), 2);
    // It signs at once: no other key can be read.
    let token = stranger.sign(&serde_json::json!({})).await.unwrap();
    assert_eq!(kid_of(&token), stranger.published().await.unwrap().keys[0].kid.clone().unwrap());
}

pub(crate) async fn a_new_key_signs_when_verifiers_can_know_it(store: &Store) {
    let (fixture, _) = fixture(store).await;
    // Each one is a replica that has just read the keys.
    let signs = async || {
        let replica = signer(&store.auth, &fixture.keys, &fixture.clock);
        kid_of(&replica.sign(&serde_json::json!({})).await.unwrap())
    };
    let first = signs().await;
    let second = fixture.sessions.signer().rotate().await.unwrap();
    assert_eq!(signs().await, first, "both are new, and this one was published before");
    fixture.clock.advance(ACTIVATION.saturating_sub(Duration::from_millis(1)));
    assert_eq!(signs().await, first);
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(signs().await, second);

    let third = fixture.sessions.signer().rotate().await.unwrap();
    let published = fixture.sessions.signer().published().await.unwrap();
    assert_eq!(published.keys[0].kid.as_ref(), Some(&third), "it is published at once");
    assert_eq!((signs().await, published.keys.len()), (second, 3));
    fixture.clock.advance(ACTIVATION);
    assert_eq!(signs().await, third);
}

pub(crate) async fn a_leaked_key_is_withdrawn_at_once(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let tokens = fixture.log_in().await;
    fixture.clock.advance(ACTIVATION);
    fixture.sessions.signer().rotate().await.unwrap();
    let kid = fixture.sessions.signer().withdraw().await.unwrap();
    let published = fixture.sessions.signer().published().await.unwrap();
    assert_eq!(published.keys.iter().map(|key| key.kid.as_ref()).collect::<Vec<_>>(), [Some(&kid)]);
    let refreshed = fixture.sessions.refresh(&refresh_token(&tokens)).await.unwrap();
    assert_eq!(kid_of(refreshed.access_token.expose()), kid, "sessions go on");
    fixture.verify(&refreshed.access_token).await;
}
