//! The service, as the platform runs it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kennel_app::Periodic;
use kennel_config::{Problems, Reader, Secret, Settings};
use kennel_core::{BackendKind as _, BoxError};
use kennel_service::{AccessRules, Context, OpenApiRouter, Service, StandardSettings, Uses, Worker};
use kennel_storage::Migrations;

use crate::accounts::AccountService;
use crate::cli::{self, AuthCommand};
use crate::config::TokenConfig;
use crate::http;
use crate::metrics::AuthServiceMetrics;
use crate::passwords::Passwords;
use crate::repository::{self, NO_CLICKHOUSE};
use crate::sealing::Keys;
use crate::sessions::{Ports, SessionRules, SessionService};
use crate::signing::{OVERLAP, Signer};
use crate::store::{AuthRepository, Role};
use crate::throttle::Throttle;
use crate::words::{Word, Words};

/// How often sessions that have ended and keys that were retired are deleted.
const EXPIRY_INTERVAL: Duration = Duration::from_hours(1);

/// Users, roles, sessions and tokens.
#[derive(Clone)]
pub struct Auth {
    pub(crate) sessions: SessionService,
    /// How many proxies add to `X-Forwarded-For`.
    pub(crate) trusted_proxies: u32,
    store: Arc<dyn AuthRepository>,
}

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct AuthServiceConfig {
    /// Accounts, sessions and tokens.
    pub tokens: TokenConfig,
}

impl Settings for AuthServiceConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { tokens: reader.section() }
    }
}

impl Service for Auth {
    const NAME: &'static str = "auth";
    const ABOUT: &'static str = "Users, roles, sessions and tokens of the market analytics";
    const USES: Uses = Uses::HTTP.and(Uses::STORAGE).and(Uses::CACHE);
    const CONTRACTS: &'static str = "market/auth";
    const HTTP_PORT: u16 = 8085;
    const MIGRATIONS: Migrations = repository::MIGRATIONS;

    type State = Self;
    type Config = AuthServiceConfig;
    type Command = AuthCommand;

    fn check(standard: &StandardSettings, _: &AuthServiceConfig, problems: &mut Problems) {
        if standard.storage.storage.name() == "clickhouse" {
            problems.add("storage", NO_CLICKHOUSE);
        }
        for (key, value) in
            [("auth_issuer", &standard.auth.auth_issuer), ("auth_audience", &standard.auth.auth_audience)]
        {
            if value.is_none() {
                problems.add(key, "must be set: access tokens have it");
            }
        }
    }

    fn http() -> OpenApiRouter<Self> {
        http::routes()
    }

    /// Everyone may log in, and verify tokens.
    fn access() -> AccessRules {
        AccessRules::new().public([
            "POST /api/v1/sessions",
            "POST /api/v1/sessions/refresh",
            "POST /api/v1/sessions/revoke",
            "POST /api/v1/tokens",
            "GET /.well-known/jwks.json",
        ])
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let (store, keys, config) = (repository(cx).await?, Arc::new(keys(cx)?), &cx.config.tokens);
        let signer = signer(cx, Arc::clone(&store), Arc::clone(&keys));
        // Fails now if the keys in the store were encrypted with another secret.
        signer.published().await?;
        let accounts = account_service(cx).await?;
        create_first_admin(cx, &accounts).await?;
        let ports = Ports {
            store: Arc::clone(&store),
            signer,
            keys,
            passwords: accounts.passwords,
            throttle: Throttle::new(cx.counters("auth.attempts").await?, config.limits(), cx.clock()),
            clock: cx.clock(),
            ids: cx.ids(),
            metrics: AuthServiceMetrics::register(cx.registry())?,
        };
        let rules = SessionRules {
            issuer: cx.standard.auth.auth_issuer.clone().unwrap_or_default(),
            audience: cx.standard.auth.auth_audience.clone().unwrap_or_default(),
            token_lifetime: config.token_lifetime.get(),
            session_idle: config.session_idle.get(),
            session_max: config.session_max.get(),
            refresh_grace: config.refresh_grace.get(),
        };
        let trusted_proxies = config.trusted_proxies;
        Ok(Self { sessions: SessionService::new(ports, rules), store, trusted_proxies })
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let (store, clock) = (Arc::clone(&self.store), cx.clock());
        let job = move || {
            let (store, now) = (Arc::clone(&store), clock.now());
            async move {
                store.delete_sessions(now.saturating_sub(TokenConfig::RETENTION)).await?;
                store.delete_keys(now.saturating_sub(OVERLAP)).await?;
                Ok::<_, BoxError>(())
            }
        };
        Ok(vec![Worker::new(Periodic::new("expiry", EXPIRY_INTERVAL, job))])
    }

    async fn run(cx: &Context<Self>, command: AuthCommand) -> anyhow::Result<ExitCode> {
        cli::run(cx, command).await
    }
}

pub(crate) async fn repository(cx: &Context<Auth>) -> anyhow::Result<Arc<dyn AuthRepository>> {
    Ok(repository::accounts(cx.database().await?))
}

pub(crate) fn keys(cx: &Context<Auth>) -> anyhow::Result<Keys> {
    let secret = cx.config.tokens.token_secret.as_ref().context("TOKEN_SECRET must be set")?;
    Ok(Keys::derive(secret)?)
}

pub(crate) fn signer(cx: &Context<Auth>, store: Arc<dyn AuthRepository>, keys: impl Into<Arc<Keys>>) -> Signer {
    Signer::new(store, keys.into(), cx.clock(), cx.ids())
}

pub(crate) async fn account_service(cx: &Context<Auth>) -> anyhow::Result<AccountService> {
    let passwords = Passwords::new(cx.config.tokens.cost())?;
    Ok(AccountService { store: repository(cx).await?, passwords, clock: cx.clock(), ids: cx.ids() })
}

/// Creates the first user, for development: with a password that is in the configuration, it must not be reachable by others.
async fn create_first_admin(cx: &Context<Auth>, accounts: &AccountService) -> anyhow::Result<()> {
    let config = &cx.config.tokens;
    let (Some(name), Some(password)) = (&config.first_admin, &config.first_admin_password) else { return Ok(()) };
    let host = cx.process.server.server_host;
    ensure!(host.is_loopback(), "FIRST_ADMIN is for development only, and SERVER_HOST is {host}");
    if !accounts.store.list_accounts().await?.is_empty() {
        return Ok(());
    }
    let admin: Word = "admin".parse()?;
    let permissions = config.first_admin_permissions.iter().map(|permission| permission.parse());
    accounts.put_role(&Role { name: admin.clone(), permissions: permissions.collect::<Result<_, _>>()? }).await?;
    let password: Secret = password.expose().trim().into();
    accounts.create_user(name.parse()?, password, Words::from([admin])).await?;
    tracing::warn!(account.name = name, "the first user was created from the configuration");
    Ok(())
}
