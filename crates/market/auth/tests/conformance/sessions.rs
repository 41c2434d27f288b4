//! The operations of clients and operators on top of the store.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use auth::accounts::AccountError;
use auth::passwords::{Cost, Passwords};
use auth::refresh::RefreshToken;
use auth::sessions::SessionError;
use auth::store::{Account, AccountChange, Session};
use kennel_core::{Clock as _, ErrorKind};
use tokio::task::JoinSet;

use crate::fixture::{ADDRESS, PASSWORD, SECRET, fixture, is_invalid, refresh_token};
use crate::store::{Store, at, role, session, words};

pub(crate) async fn a_user_logs_in_and_any_service_can_verify_the_token(store: &Store) {
    let (fixture, secret) = fixture(store).await;
    let tokens = fixture.log_in().await;
    assert_eq!((tokens.expires_in, tokens.scope.as_str()), (Duration::from_mins(5), "dogs:write market:read"));
    let caller = fixture.verify(&tokens.access_token).await;
    let ann = store.auth.find_account_by_name(&"ann".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(caller.principal.subject(), ann.id.to_string());
    assert_eq!(caller.principal.scopes().collect::<Vec<_>>(), ["dogs:write", "market:read"]);
    let lifetime = caller.expires_at.since(fixture.clock.now());
    assert!((Duration::from_secs(299)..=Duration::from_mins(5)).contains(&lifetime), "{lifetime:?}");

    let program = fixture.sessions.issue("reporting", &secret, ADDRESS).await.unwrap();
    assert!(program.refresh_token.is_none());
    assert_eq!(fixture.verify(&program.access_token).await.principal.scopes().collect::<Vec<_>>(), ["market:read"]);
    fixture.counted(r#"auth_logins_total{kind="user",outcome="ok"} 1"#);
    fixture.counted(r#"auth_logins_total{kind="service",outcome="ok"} 1"#);
}

pub(crate) async fn a_hundred_refreshes_of_one_token_end_in_one_session(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let mut token = refresh_token(&fixture.log_in().await);
    let session = RefreshToken::decode(&token, &fixture.keys).unwrap().session;
    for round in 1..=3 {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let (sessions, token) = (fixture.sessions.clone(), token.clone());
            calls.spawn(async move { sessions.refresh(&token).await });
        }
        let results = calls.join_all().await;
        let successors: Vec<_> = results.iter().map(|result| refresh_token(result.as_ref().unwrap())).collect();
        assert!(successors.iter().all(|successor| successor.expose() == successors[0].expose()), "one family");
        token = successors[0].clone();
        let read = RefreshToken::decode(&token, &fixture.keys).unwrap();
        assert_eq!((read.session, read.generation), (session, round + 1));
        fixture.clock.advance(Duration::from_mins(1));
    }
    assert!(fixture.sessions.refresh(&token).await.is_ok(), "no one was logged out");
    fixture.counted(r#"auth_refreshes_total{outcome="rotated"} 4"#);
    fixture.counted(r#"auth_refreshes_total{outcome="concurrent"} 297"#);
}

pub(crate) async fn a_refresh_token_that_is_used_again_ends_its_session(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let (stolen, other) = (refresh_token(&fixture.log_in().await), refresh_token(&fixture.log_in().await));
    let second = refresh_token(&fixture.sessions.refresh(&stolen).await.unwrap());
    fixture.clock.advance(Duration::from_secs(9));
    let again = refresh_token(&fixture.sessions.refresh(&stolen).await.unwrap());
    assert_eq!(again.expose(), second.expose(), "within the grace");
    let third = refresh_token(&fixture.sessions.refresh(&second).await.unwrap());
    // One that was replaced before the previous one has no grace.
    assert!(is_invalid(&fixture.sessions.refresh(&stolen).await));
    assert!(is_invalid(&fixture.sessions.refresh(&third).await), "the thief and the user are logged out");
    fixture.counted(r#"auth_refreshes_total{outcome="reused"} 1"#);
    fixture.counted(r#"auth_refreshes_total{outcome="ended"} 1"#);

    let next = refresh_token(&fixture.sessions.refresh(&other).await.unwrap());
    fixture.clock.advance(Duration::from_secs(10));
    assert!(is_invalid(&fixture.sessions.refresh(&other).await), "after the grace");
    assert!(is_invalid(&fixture.sessions.refresh(&next).await));
}

pub(crate) async fn sessions_end_by_themselves_and_by_log_out(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let (idle, mut used) = (refresh_token(&fixture.log_in().await), refresh_token(&fixture.log_in().await));
    let out = refresh_token(&fixture.log_in().await);
    fixture.sessions.log_out(&out).await.unwrap();
    assert!(is_invalid(&fixture.sessions.refresh(&out).await));
    fixture.sessions.log_out(&out).await.unwrap();
    fixture.sessions.log_out(&"krt_nonsense".into()).await.unwrap();
    for _ in 0..4 {
        fixture.clock.advance(Duration::from_mins(40));
        used = refresh_token(&fixture.sessions.refresh(&used).await.unwrap());
    }
    assert!(is_invalid(&fixture.sessions.refresh(&idle).await), "after an hour without use");
    fixture.clock.advance(Duration::from_mins(40));
    assert!(is_invalid(&fixture.sessions.refresh(&used).await), "after three hours");
    assert!(is_invalid(&fixture.sessions.refresh(&"krt_nonsense".into()).await));
    fixture.counted(r#"auth_refreshes_total{outcome="invalid"} 1"#);
}

pub(crate) async fn wrong_names_passwords_and_kinds_have_one_answer(store: &Store) {
    let (fixture, secret) = fixture(store).await;
    fixture.accounts.create_user("bob".parse().unwrap(), PASSWORD.into(), words("")).await.unwrap();
    fixture.accounts.set_disabled(&"bob".parse().unwrap(), true).await.unwrap();
    let mut answers = Vec::new();
    for (name, password) in [
        ("ann", "wrong password"),
        ("ann", ""),
        ("ANN", PASSWORD),
        ("nobody", PASSWORD),
        ("no one", PASSWORD),
        ("bob", PASSWORD),
        ("reporting", secret.expose()),
    ] {
        let error = fixture.sessions.log_in(name, password.into(), ADDRESS).await.unwrap_err();
        answers.push((name, error.kind(), error.to_string()));
    }
    for (name, secret) in [("reporting", "wrong"), ("reporting", ""), ("nobody", secret.expose()), ("ann", PASSWORD)] {
        let error = fixture.sessions.issue(name, &secret.into(), ADDRESS).await.unwrap_err();
        answers.push((name, error.kind(), error.to_string()));
    }
    for (name, kind, text) in answers {
        assert_eq!((kind, text.as_str()), (ErrorKind::Unauthenticated, "name or password is wrong"), "{name}");
    }
    fixture.log_in().await;
}

pub(crate) async fn attempts_are_limited(store: &Store) {
    let (fixture, _) = fixture(store).await;
    for name in ["ann", "nobody"] {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let sessions = fixture.sessions.clone();
            calls.spawn(async move { sessions.log_in(name, "wrong password".into(), ADDRESS).await.unwrap_err() });
        }
        let errors = calls.join_all().await;
        let limited = errors.iter().filter(|error| error.kind() == ErrorKind::RateLimited).count();
        assert_eq!(limited, 15, "{name}: also if they are concurrent");
        let right = fixture.sessions.log_in(name, PASSWORD.into(), ADDRESS).await.unwrap_err();
        let window = fixture.clock.now().as_millis() % 900_000;
        let rest = Duration::from_millis(u64::try_from(900_000 - window).unwrap());
        assert!(matches!(right, SessionError::TooManyAttempts { retry_after } if retry_after == rest));
    }
    fixture.counted(r#"auth_logins_total{kind="user",outcome="throttled"} 32"#);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
    assert!(fixture.sessions.log_in("ann", PASSWORD.into(), elsewhere).await.is_ok(), "one address locks no account");
}

pub(crate) async fn what_the_service_cannot_check_is_no_failed_attempt(store: &Store) {
    let (fixture, secret) = fixture(store).await;
    for _ in 0..20 {
        fixture.log_in().await;
        fixture.sessions.issue("reporting", &secret, ADDRESS).await.unwrap();
    }
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let (sessions, secret) = (fixture.sessions.clone(), secret.clone());
        calls.spawn(async move { sessions.issue("reporting", &secret, ADDRESS).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok), "programs that start together");
    let unreadable = store.user("bob").await;
    for _ in 0..6 {
        let error = fixture.sessions.log_in(unreadable.name.as_str(), PASSWORD.into(), ADDRESS).await.unwrap_err();
        assert!(matches!(error, SessionError::Unavailable(_)), "{error}");
    }
}

pub(crate) async fn a_change_of_password_roles_or_state_takes_effect(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let ann = "ann".parse().unwrap();
    let token = refresh_token(&fixture.log_in().await);
    fixture.accounts.set_roles(&ann, words("viewer")).await.unwrap();
    let refreshed = fixture.sessions.refresh(&token).await.unwrap();
    assert_eq!(refreshed.scope, "market:read");
    fixture.accounts.put_role(&role("viewer", "")).await.unwrap();
    let refreshed = fixture.sessions.refresh(&refresh_token(&refreshed)).await.unwrap();
    assert_eq!(refreshed.scope, "");

    fixture.accounts.set_password(&ann, "another long password".into()).await.unwrap();
    assert!(is_invalid(&fixture.sessions.refresh(&refresh_token(&refreshed)).await));
    assert!(fixture.sessions.log_in("ann", PASSWORD.into(), ADDRESS).await.is_err());
    let tokens = fixture.sessions.log_in("ann", "another long password".into(), ADDRESS).await.unwrap();
    fixture.accounts.set_disabled(&ann, true).await.unwrap();
    assert!(is_invalid(&fixture.sessions.refresh(&refresh_token(&tokens)).await));
    fixture.accounts.set_disabled(&ann, false).await.unwrap();
    let tokens = fixture.sessions.log_in("ann", "another long password".into(), ADDRESS).await.unwrap();
    fixture.accounts.revoke(&ann).await.unwrap();
    assert!(is_invalid(&fixture.sessions.refresh(&refresh_token(&tokens)).await));

    let accounts = &fixture.accounts;
    let unknown = accounts.set_roles(&ann, words("viewer root")).await.unwrap_err();
    assert!(matches!(unknown, AccountError::UnknownRole(role) if role.as_str() == "root"));
    assert!(matches!(accounts.revoke(&"nobody".parse().unwrap()).await, Err(AccountError::Unknown(_))));
    assert!(matches!(accounts.set_password(&ann, "short".into()).await, Err(AccountError::Password)));
    let service = "reporting".parse().unwrap();
    assert!(matches!(accounts.set_password(&service, PASSWORD.into()).await, Err(AccountError::NoPassword(_))));
    assert!(matches!(accounts.create_user(ann, PASSWORD.into(), words("")).await, Err(AccountError::Exists(_))));
}

pub(crate) async fn a_log_in_during_a_change_that_ends_sessions_leaves_none(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let (ann, accounts) = ("ann".parse().unwrap(), &fixture.accounts);
    // What a log-in has read before the change, it adds as a session after it.
    let before = async || store.auth.find_account_by_name(&ann).await.unwrap().unwrap();
    let ends_at = fixture.clock.now().saturating_add(Duration::from_hours(1));
    let begun = |read: &Account| Session { epoch: read.epoch, ends_at, idle_until: ends_at, ..session(read.id) };
    let refreshed = async |session: &Session| {
        store.auth.insert_session(session).await.unwrap();
        let token = RefreshToken { session: session.id, generation: 1 };
        fixture.sessions.refresh(&token.encode(&fixture.keys)).await
    };
    assert!(refreshed(&begun(&before().await)).await.is_ok());

    let read = before().await;
    accounts.set_password(&ann, PASSWORD.into()).await.unwrap();
    assert!(is_invalid(&refreshed(&begun(&read)).await), "with the previous password");
    let read = before().await;
    accounts.set_disabled(&ann, true).await.unwrap();
    accounts.set_disabled(&ann, false).await.unwrap();
    assert!(is_invalid(&refreshed(&begun(&read)).await), "before it was disabled");
    let read = before().await;
    accounts.revoke(&ann).await.unwrap();
    assert!(is_invalid(&refreshed(&begun(&read)).await), "before it was revoked");

    let after = refresh_token(&fixture.log_in().await);
    assert!(fixture.sessions.refresh(&after).await.is_ok());
}

pub(crate) async fn a_hash_follows_the_configured_cost(store: &Store) {
    let (fixture, _) = fixture(store).await;
    let token = refresh_token(&fixture.log_in().await);
    let read = async || store.auth.find_account_by_name(&"ann".parse().unwrap()).await.unwrap().unwrap();
    let ann = read().await;
    let dearer = Passwords::new(Cost { memory_bytes: 2 << 20, parallel: 1 }).unwrap();
    let to = dearer.hash(PASSWORD.into()).await.unwrap();
    let change = AccountChange::Rehash { from: ann.credential.clone(), to: to.clone() };
    assert!(store.auth.change_account(ann.id, &change, at(1)).await.unwrap());
    assert!(fixture.sessions.log_in("ann", "wrong".into(), ADDRESS).await.is_err());
    assert_eq!(read().await.credential.expose(), to.expose());
    for _ in 0..2 {
        fixture.log_in().await;
        assert!(read().await.credential.expose().starts_with("$argon2id$v=19$m=1024,"));
    }
    assert!(fixture.sessions.refresh(&token).await.is_ok(), "it is the same password");
}

pub(crate) async fn the_store_and_the_errors_show_no_secret(store: &Store) {
    let (fixture, secret) = fixture(store).await;
    let tokens = fixture.log_in().await;
    let ann = store.auth.find_account_by_name(&"ann".parse().unwrap()).await.unwrap().unwrap();
    let keys = store.auth.list_keys().await.unwrap();
    let shown = format!("{ann:?} {keys:?} {tokens:?} {:?} {:?}", fixture.keys, fixture.sessions.signer());
    for hidden in
        [PASSWORD, SECRET, secret.expose(), tokens.access_token.expose(), "argon2id", keys[0].private_key.expose()]
    {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(ann.credential.expose().starts_with("$argon2id$"));
}
