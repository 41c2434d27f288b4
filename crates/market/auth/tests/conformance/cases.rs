//! The statements of the port's documentation.

use std::sync::Arc;

use auth::store::{AccountChange, AccountKind, Others, Rotation, Session, StoredKey};
use kennel_config::Secret;
use kennel_core::{IdSource as _, RepoError, Timestamp, UuidV7};
use tokio::task::JoinSet;

use crate::store::{Store, account, at, role, session, words};

fn rotation(session: &Session, from: i64, seconds: u64) -> Rotation {
    Rotation { session: session.id, from, at: at(seconds), idle_until: at(seconds + 100) }
}

pub(crate) async fn an_account_is_read_as_written(store: &Store) {
    let mut written = account("ann@example.com");
    written.kind = AccountKind::Service;
    written.credential = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".into();
    store.auth.insert_account(&written).await.unwrap();
    for read in [
        store.auth.find_account(written.id).await.unwrap().unwrap(),
        store.auth.find_account_by_name(&written.name).await.unwrap().unwrap(),
    ] {
        assert_eq!(
            (read.id, read.kind, &read.name, &read.roles),
            (written.id, AccountKind::Service, &written.name, &written.roles)
        );
        assert_eq!(read.credential.expose(), written.credential.expose());
        assert_eq!((read.disabled, read.created_at, read.updated_at), (false, at(0), at(0)));
    }
    assert!(store.auth.find_account(UuidV7.next()).await.unwrap().is_none());
    assert!(store.auth.find_account_by_name(&"ann".parse().unwrap()).await.unwrap().is_none());
}

pub(crate) async fn a_name_and_an_id_exist_once(store: &Store) {
    let ann = store.user("ann").await;
    let mut other = account("ann");
    assert!(matches!(store.auth.insert_account(&other).await, Err(RepoError::Conflict)));
    (other.id, other.name) = (ann.id, "bob".parse().unwrap());
    assert!(matches!(store.auth.insert_account(&other).await, Err(RepoError::Conflict)));
    store.user("abe").await;
    let names = store.auth.list_accounts().await.unwrap();
    assert_eq!(names.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["abe", "ann"]);
}

pub(crate) async fn a_change_writes_only_what_it_changes(store: &Store) {
    let ann = store.user("ann").await;
    let roles = words("viewer");
    let changes = [
        AccountChange::Roles(roles.clone()),
        AccountChange::Password("other".into()),
        AccountChange::Disable,
        AccountChange::Revoke,
    ];
    let mut calls = JoinSet::new();
    for change in changes {
        let (auth, id) = (Arc::clone(&store.auth), ann.id);
        calls.spawn(async move { auth.change_account(id, &change, at(5)).await.unwrap() });
    }
    assert!(calls.join_all().await.into_iter().all(|exists| exists));
    let read = async || store.auth.find_account(ann.id).await.unwrap().unwrap();
    let stored = read().await;
    assert_eq!(
        (stored.credential.expose(), &stored.roles, stored.disabled, stored.epoch, stored.updated_at),
        ("other", &roles, true, 3, at(5)),
        "of concurrent changes, each has its effect"
    );
    assert!(store.auth.change_account(ann.id, &AccountChange::Enable, at(6)).await.unwrap());
    let rehash = |from: &str| AccountChange::Rehash { from: from.into(), to: "dearer".into() };
    assert!(!store.auth.change_account(ann.id, &rehash("hash"), at(7)).await.unwrap(), "another password");
    assert!(store.auth.change_account(ann.id, &rehash("other"), at(7)).await.unwrap());
    let stored = read().await;
    assert_eq!(
        (stored.credential.expose(), &stored.roles, stored.disabled, stored.epoch, stored.updated_at),
        ("dearer", &roles, false, 3, at(7))
    );
    let unknown = account("cat").id;
    assert!(!store.auth.change_account(unknown, &AccountChange::Revoke, at(8)).await.unwrap());
}

pub(crate) async fn some_changes_end_the_sessions(store: &Store) {
    let (first, other) = (store.session("ann").await, store.session("bob").await);
    let hash: Secret = "hash".into();
    for change in [
        AccountChange::Roles(words("")),
        AccountChange::Enable,
        AccountChange::Rehash { from: hash.clone(), to: hash.clone() },
    ] {
        assert!(store.auth.change_account(first.account, &change, at(5)).await.unwrap());
        assert!(!store.find(&first).await.revoked, "{change:?}");
    }
    for change in [AccountChange::Password(hash), AccountChange::Disable, AccountChange::Revoke] {
        let session = session(first.account);
        store.auth.insert_session(&session).await.unwrap();
        assert!(store.auth.change_account(first.account, &change, at(5)).await.unwrap());
        assert!(store.find(&session).await.revoked, "{change:?}");
    }
    assert!(store.find(&first).await.revoked && !store.find(&other).await.revoked);
    let bob = store.auth.find_account(other.account).await.unwrap().unwrap();
    assert_eq!((bob.epoch, bob.credential.expose()), (0, "hash"));
}

pub(crate) async fn roles_are_replaced_and_listed_by_name(store: &Store) {
    assert!(store.auth.list_roles().await.unwrap().is_empty());
    store.auth.put_role(&role("viewer", "market:read")).await.unwrap();
    store.auth.put_role(&role("admin", "")).await.unwrap();
    store.auth.put_role(&role("viewer", "dogs:read market:read")).await.unwrap();
    let expected = [role("admin", ""), role("viewer", "dogs:read market:read")];
    assert_eq!(store.auth.list_roles().await.unwrap(), expected);
}

pub(crate) async fn a_session_is_read_as_written(store: &Store) {
    let written = store.session("ann").await;
    assert_eq!(store.find(&written).await, written);
    let later = Session { epoch: 7, ..session(written.account) };
    store.auth.insert_session(&later).await.unwrap();
    assert_eq!(store.find(&later).await, later);
    assert_eq!(store.auth.find_session(UuidV7.next()).await.unwrap(), None);
    assert!(matches!(store.auth.insert_session(&written).await, Err(RepoError::Conflict)));
}

pub(crate) async fn of_concurrent_rotations_one_succeeds(store: &Store) {
    let session = store.session("ann").await;
    for generation in 1..=3 {
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let (auth, rotation) = (Arc::clone(&store.auth), rotation(&session, generation, 10));
            calls.spawn(async move { auth.rotate_session(&rotation).await.unwrap() });
        }
        let rotated = calls.join_all().await;
        assert_eq!(rotated.iter().filter(|rotated| **rotated).count(), 1);
        let read = store.find(&session).await;
        assert_eq!((read.generation, read.rotated_at, read.idle_until), (generation + 1, at(10), at(110)));
    }
}

pub(crate) async fn a_session_that_has_ended_does_not_rotate(store: &Store) {
    let session = store.session("ann").await;
    let other = Session { id: UuidV7.next(), ..session.clone() };
    for (rotation, what) in [
        (rotation(&session, 0, 1), "an older generation"),
        (rotation(&session, 2, 1), "a later generation"),
        (rotation(&session, 1, 100), "idle for too long"),
        (rotation(&other, 1, 1), "an unknown session"),
    ] {
        assert!(!store.auth.rotate_session(&rotation).await.unwrap(), "{what}");
    }
    assert_eq!(store.find(&session).await, session);
    assert!(store.auth.rotate_session(&Rotation { idle_until: at(5_000), ..rotation(&session, 1, 99) }).await.unwrap());
    assert!(!store.auth.rotate_session(&rotation(&session, 2, 1_000)).await.unwrap(), "at its end");
    assert!(store.auth.revoke_session(session.id, at(200)).await.unwrap());
    assert!(!store.auth.rotate_session(&rotation(&session, 2, 201)).await.unwrap(), "revoked");
}

pub(crate) async fn a_session_is_revoked_once(store: &Store) {
    let session = store.session("ann").await;
    assert!(store.auth.revoke_session(session.id, at(1)).await.unwrap());
    assert!(!store.auth.revoke_session(session.id, at(2)).await.unwrap());
    assert!(!store.auth.revoke_session(UuidV7.next(), at(1)).await.unwrap());
    assert_eq!(store.find(&session).await, Session { revoked: true, ..session });
}

pub(crate) async fn sessions_are_deleted_after_their_end(store: &Store) {
    let early = store.session("ann").await;
    let late = Session { ends_at: at(2_000), ..session(early.account) };
    store.auth.insert_session(&late).await.unwrap();
    assert_eq!(store.auth.delete_sessions(at(1_000)).await.unwrap(), 0);
    assert_eq!(store.auth.delete_sessions(at(1_001)).await.unwrap(), 1);
    assert_eq!(store.auth.find_session(early.id).await.unwrap(), None);
    assert_eq!(store.find(&late).await, late);
}

fn key(kid: &str, created_at: Timestamp) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        public_key: "cHVi".to_owned(),
        private_key: "sealed".into(),
        created_at,
        retired_at: None,
    }
}

pub(crate) async fn a_new_key_retires_the_others(store: &Store) {
    for (kid, created) in [("k1", 1), ("k2", 2), ("k3", 3)] {
        store.auth.rotate_keys(&key(kid, at(created)), Others::Retire).await.unwrap();
    }
    let keys = store.auth.list_keys().await.unwrap();
    let read: Vec<_> = keys.iter().map(|key| (key.kid.as_str(), key.retired_at)).collect();
    assert_eq!(read, [("k3", None), ("k2", Some(at(3))), ("k1", Some(at(2)))]);
    assert_eq!(
        (keys[0].public_key.as_str(), keys[0].private_key.expose(), keys[0].created_at),
        ("cHVi", "sealed", at(3))
    );
    assert_eq!(store.auth.delete_keys(at(3)).await.unwrap(), 1);
    assert_eq!(store.auth.delete_keys(at(1_000)).await.unwrap(), 1);
    assert_eq!(store.auth.list_keys().await.unwrap().len(), 1, "the one in use stays");
}

pub(crate) async fn a_new_key_can_delete_the_others(store: &Store) {
    for (kid, created) in [("k1", 1), ("k2", 2)] {
        store.auth.rotate_keys(&key(kid, at(created)), Others::Retire).await.unwrap();
    }
    store.auth.rotate_keys(&key("k3", at(3)), Others::Delete).await.unwrap();
    let keys = store.auth.list_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| (key.kid.as_str(), key.retired_at)).collect::<Vec<_>>(), [("k3", None)]);
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let migrator = &store.database.migrator;
    store.session("ann").await;
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    assert!(store.auth.list_accounts().await.is_err(), "without its schema");
    migrator.up(at(1)).await.unwrap();
    assert!(store.auth.list_accounts().await.unwrap().is_empty());
    store.session("ann").await;
}
