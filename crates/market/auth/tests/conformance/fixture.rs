//! The service on a store, its clock, and a service that verifies its tokens.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::accounts::AccountService;
use auth::metrics::AuthServiceMetrics;
use auth::passwords::{Cost, Passwords};
use auth::sealing::Keys;
use auth::sessions::{Ports, SessionError, SessionRules, SessionService, Tokens};
use auth::signing::Signer;
use auth::store::AuthRepository;
use auth::throttle::{Limits, Throttle};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_auth::{Algorithm, AuthMetrics, Caller, JwkSet, KeySet, KeySource, TokenRules, Verifier};
use kennel_cache::{Connected, Counters};
use kennel_config::Secret;
use kennel_core::{BoxError, ErrorKind, ManualClock, UuidV7};
use prometheus::Registry;

use crate::store::{Store, at, role, words};

pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Fixture {
    pub(crate) sessions: SessionService,
    pub(crate) accounts: AccountService,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<ManualClock>,
    registry: Registry,
}

/// The service on a store with the roles `viewer` and `operator`, the user `ann` and the service account `reporting`.
pub(crate) async fn fixture(store: &Store) -> (Fixture, Secret) {
    let clock = Arc::new(ManualClock::new(at(0)));
    let keys = Arc::new(Keys::derive(&SECRET.into()).unwrap());
    let passwords = Passwords::new(Cost { memory_bytes: 1 << 20, parallel: 2 }).unwrap();
    let registry = Registry::new();
    let signer = signer(&store.auth, &keys, &clock);
    let accounts = AccountService {
        store: Arc::clone(&store.auth),
        passwords: passwords.clone(),
        clock: Arc::<ManualClock>::clone(&clock),
        ids: Arc::new(UuidV7),
    };
    accounts.put_role(&role("viewer", "market:read")).await.unwrap();
    accounts.put_role(&role("operator", "dogs:write market:read")).await.unwrap();
    accounts.create_user("ann".parse().unwrap(), PASSWORD.into(), words("viewer operator")).await.unwrap();
    let secret = accounts.create_service("reporting".parse().unwrap(), words("viewer")).await.unwrap();
    let limits = Limits { per_account: 5, per_name: 1_000, per_address: 1_000, window: Duration::from_mins(15) };
    let ports = Ports {
        store: Arc::clone(&store.auth),
        signer,
        keys: Arc::clone(&keys),
        passwords,
        throttle: Throttle::new(
            Counters::new(&Connected::memory(1_000_000), "test"),
            limits,
            Arc::<ManualClock>::clone(&clock),
        ),
        clock: Arc::<ManualClock>::clone(&clock),
        ids: Arc::new(UuidV7),
        metrics: AuthServiceMetrics::register(&registry).unwrap(),
    };
    let rules = SessionRules {
        issuer: "https://id.example".to_owned(),
        audience: "kennel".to_owned(),
        token_lifetime: Duration::from_mins(5),
        session_idle: Duration::from_hours(1),
        session_max: Duration::from_hours(3),
        refresh_grace: Duration::from_secs(10),
    };
    (Fixture { sessions: SessionService::new(ports, rules), accounts, keys, clock, registry }, secret)
}

pub(crate) fn signer(store: &Arc<dyn AuthRepository>, keys: &Arc<Keys>, clock: &Arc<ManualClock>) -> Signer {
    Signer::new(Arc::clone(store), Arc::clone(keys), Arc::<ManualClock>::clone(clock), Arc::new(UuidV7))
}

struct Published(JwkSet);

#[async_trait]
impl KeySource for Published {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        Ok(self.0.clone())
    }
}

impl Fixture {
    pub(crate) async fn log_in(&self) -> Tokens {
        self.sessions.log_in("ann", PASSWORD.into(), ADDRESS).await.unwrap()
    }

    /// Who a service that knows the published keys takes the caller for.
    pub(crate) async fn verify(&self, token: &Secret) -> Caller {
        let rules = TokenRules {
            issuer: "https://id.example".to_owned(),
            audience: "kennel".to_owned(),
            algorithms: vec![Algorithm::EdDsa],
            token_type: "at+jwt".to_owned(),
            leeway: Duration::ZERO,
        };
        let published = Published(self.sessions.signer().published().await.unwrap());
        let metrics = AuthMetrics::register(&Registry::new()).unwrap();
        let keys = KeySet::new(published, Duration::from_mins(5), Duration::from_secs(10), metrics);
        Verifier::new(rules, keys, Arc::<ManualClock>::clone(&self.clock)).verify(token.expose()).await.unwrap()
    }

    pub(crate) fn counted(&self, line: &str) {
        let text = kennel_telemetry::metrics::encode(&self.registry);
        assert!(text.contains(line), "{line} in {text}");
    }
}

pub(crate) fn refresh_token(tokens: &Tokens) -> Secret {
    tokens.refresh_token.clone().unwrap()
}

pub(crate) fn is_invalid(result: &Result<Tokens, SessionError>) -> bool {
    matches!(result, Err(error @ SessionError::InvalidRefreshToken) if error.kind() == ErrorKind::Unauthenticated)
}

/// The id of the key that has signed a token.
pub(crate) fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}
