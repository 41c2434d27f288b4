//! What clients do: log in, refresh, log out; and get tokens as a program.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kennel_config::Secret;
use kennel_core::{BoxError, Clock, ErrorKind, IdSource, RepoError, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::metrics::{AuthServiceMetrics, LoginOutcome, RefreshOutcome};
use crate::passwords::{PasswordError, Passwords, is_secret};
use crate::refresh::RefreshToken;
use crate::sealing::Keys;
use crate::signing::{Signer, SigningError};
use crate::store::{Account, AccountChange, AccountKind, AuthRepository, Rotation, Session};
use crate::throttle::{Attempt, Throttle, Throttled};
use crate::words::{self, Word, Words};

/// The `client_id` of tokens of users, who log in to the system itself (RFC 9068 requires the claim).
const FIRST_PARTY: &str = "kennel";
/// The name under which attempts with impossible names are counted.
const IMPOSSIBLE_NAME: &str = "?";

/// How tokens are issued.
#[derive(Debug, Clone)]
pub struct SessionRules {
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// How long access tokens are valid.
    pub token_lifetime: Duration,
    /// How long a session lasts without being used.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_max: Duration,
    /// How long after its replacement a refresh token still returns its successor.
    pub refresh_grace: Duration,
}

/// What the operations use.
pub struct Ports {
    /// The accounts and sessions.
    pub store: Arc<dyn AuthRepository>,
    /// Signs access tokens.
    pub signer: Signer,
    /// Creates refresh tokens.
    pub keys: Arc<Keys>,
    /// Checks passwords.
    pub passwords: Passwords,
    /// Limits attempts.
    pub throttle: Throttle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of sessions and tokens.
    pub ids: Arc<dyn IdSource>,
    /// Counts what happens.
    pub metrics: AuthServiceMetrics,
}

/// The operations of clients. Clones share their state.
#[derive(Clone)]
pub struct SessionService(Arc<Inner>);

struct Inner {
    ports: Ports,
    rules: SessionRules,
}

/// The tokens of a caller.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For the services.
    pub access_token: Secret,
    /// How long it is valid.
    pub expires_in: Duration,
    /// For the next tokens; only sessions of users have one.
    pub refresh_token: Option<Secret>,
    /// The scopes, separated by spaces.
    pub scope: String,
}

/// Why no tokens are issued.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such account, it is disabled, or the password or secret is another one: the caller cannot know which.
    #[error("name or password is wrong")]
    InvalidCredentials,
    /// The refresh token is not valid, or not valid any more.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// There were too many attempts.
    #[error("too many attempts; try again later")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// Attempts cannot be counted.
    #[error("attempts cannot be counted")]
    Unavailable(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] RepoError),
    /// The signing keys cannot be used.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl SessionError {
    /// The kind, which HTTP maps to a status code.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidCredentials | Self::InvalidRefreshToken => ErrorKind::Unauthenticated,
            Self::TooManyAttempts { .. } => ErrorKind::RateLimited,
            Self::Overloaded => ErrorKind::Overloaded,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Store(error) | Self::Signing(SigningError::Store(error)) => error.kind(),
            Self::Signing(_) => ErrorKind::Internal,
        }
    }
}

/// The claims of an access token (RFC 9068).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: Uuid,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    scope: &'a str,
}

impl SessionService {
    /// The operations of `ports` by these rules.
    pub fn new(ports: Ports, rules: SessionRules) -> Self {
        Self(Arc::new(Inner { ports, rules }))
    }

    /// The signing keys.
    pub fn signer(&self) -> &Signer {
        &self.0.ports.signer
    }

    /// Starts a session of a user. An unknown name takes as long as a known one, and has the same result as a wrong password.
    pub async fn log_in(&self, name: &str, password: Secret, address: IpAddr) -> Result<Tokens, SessionError> {
        let attempt = self.0.attempt(name, address, AccountKind::User).await?;
        let result = self.0.log_in(name, password).await;
        self.0.settle(attempt, AccountKind::User, &result).await;
        result
    }

    /// Issues an access token to a program.
    pub async fn issue(&self, name: &str, secret: &Secret, address: IpAddr) -> Result<Tokens, SessionError> {
        let attempt = self.0.attempt(name, address, AccountKind::Service).await?;
        let result = self.0.issue(name, secret).await;
        self.0.settle(attempt, AccountKind::Service, &result).await;
        result
    }

    /// Replaces a refresh token by its successor, with a new access token. Calls with one token, at once or within a few seconds,
    /// return the same successor. A token that was replaced before that ends the session: it was stolen, or its thief has
    /// used its successor.
    pub async fn refresh(&self, token: &Secret) -> Result<Tokens, SessionError> {
        let (ports, rules) = (&self.0.ports, &self.0.rules);
        let refused = |outcome| {
            ports.metrics.refresh(outcome);
            SessionError::InvalidRefreshToken
        };
        let token = RefreshToken::decode(token, &ports.keys).ok_or_else(|| refused(RefreshOutcome::Invalid))?;
        let at = ports.clock.now();
        let idle_until = at.saturating_add(rules.session_idle);
        let rotation = Rotation { session: token.session, from: token.generation, at, idle_until };
        let rotated = ports.store.rotate_session(&rotation).await?;
        let session = ports.store.find_session(token.session).await?;
        let session = session.filter(|session| !session.revoked && at < session.ends_at);
        let session = session.ok_or_else(|| refused(RefreshOutcome::Ended))?;
        let outcome = if rotated { RefreshOutcome::Rotated } else { self.0.without_rotation(&session, token, at) };
        match outcome {
            RefreshOutcome::Rotated | RefreshOutcome::Concurrent => {}
            RefreshOutcome::Reused => {
                ports.store.revoke_session(session.id, at).await?;
                tracing::warn!(session.id = %session.id, "a refresh token was used again; its session has ended");
                return Err(refused(outcome));
            }
            RefreshOutcome::Invalid | RefreshOutcome::Ended => return Err(refused(outcome)),
        }
        let account = ports.store.find_account(session.account).await?;
        // A log-in that overlaps a change that ends sessions adds its session after it, with the epoch from before it.
        let account = account.filter(|account| !account.disabled && account.epoch == session.epoch);
        let account = account.ok_or_else(|| refused(RefreshOutcome::Ended))?;
        ports.metrics.refresh(outcome);
        self.0.tokens(&account, Some((session.id, token.generation + 1))).await
    }

    /// Ends the session of a refresh token. Also succeeds if there is none (RFC 7009, section 2.2).
    pub async fn log_out(&self, token: &Secret) -> Result<(), SessionError> {
        let ports = &self.0.ports;
        if let Some(token) = RefreshToken::decode(token, &ports.keys) {
            ports.store.revoke_session(token.session, ports.clock.now()).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// Counts an attempt.
    async fn attempt(&self, name: &str, address: IpAddr, kind: AccountKind) -> Result<Attempt, SessionError> {
        let name = name.parse::<Word>().ok();
        let name = name.as_ref().map_or(IMPOSSIBLE_NAME, Word::as_str);
        self.ports.throttle.attempt(kind, name, address).await.map_err(|error| match error {
            Throttled::TooMany { retry_after } => {
                self.ports.metrics.login(kind, LoginOutcome::Throttled);
                SessionError::TooManyAttempts { retry_after }
            }
            Throttled::Unavailable(source) => SessionError::Unavailable(source),
        })
    }

    /// Takes the attempt back, unless the credentials were wrong: what fails here is no guess.
    async fn settle(&self, attempt: Attempt, kind: AccountKind, result: &Result<Tokens, SessionError>) {
        let outcome = match result {
            Ok(_) => LoginOutcome::Ok,
            Err(SessionError::InvalidCredentials) => LoginOutcome::Failed,
            Err(_) => LoginOutcome::Error,
        };
        self.ports.metrics.login(kind, outcome);
        if outcome == LoginOutcome::Failed {
            tracing::info!(account.kind = kind.name(), "an attempt to log in has failed");
        } else if let Err(error) = self.ports.throttle.take_back(attempt).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the attempt stays counted");
        }
    }

    /// The account with this name, if it may get tokens.
    async fn account(&self, name: &str, kind: AccountKind) -> Result<Option<Account>, RepoError> {
        let Ok(name) = name.parse::<Word>() else { return Ok(None) };
        let account = self.ports.store.find_account_by_name(&name).await?;
        Ok(account.filter(|account| account.kind == kind && !account.disabled))
    }

    async fn log_in(&self, name: &str, password: Secret) -> Result<Tokens, SessionError> {
        let account = self.account(name, AccountKind::User).await?;
        let credential = account.as_ref().map(|account| account.credential.clone());
        let is_right = self.ports.passwords.verify(password.clone(), credential).await.map_err(busy)?;
        let account = account.filter(|_| is_right).ok_or(SessionError::InvalidCredentials)?;
        if self.ports.passwords.is_outdated(&account.credential) {
            self.rehash(&account, password).await;
        }
        let session = self.session(&account);
        self.ports.store.insert_session(&session).await?;
        self.tokens(&account, Some((session.id, session.generation))).await
    }

    /// Stores a hash with the cost of new ones. If that fails, the next log-in does it.
    async fn rehash(&self, account: &Account, password: Secret) {
        let stored = async {
            let to = self.ports.passwords.hash(password).await.map_err(busy)?;
            let change = AccountChange::Rehash { from: account.credential.clone(), to };
            self.ports.store.change_account(account.id, &change, self.ports.clock.now()).await?;
            Ok::<_, SessionError>(())
        };
        if let Err(error) = stored.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the hash of a password has its previous cost");
        }
    }

    async fn issue(&self, name: &str, secret: &Secret) -> Result<Tokens, SessionError> {
        let account = self.account(name, AccountKind::Service).await?;
        let is_right = is_secret(secret, account.as_ref().map(|account| &account.credential));
        let account = account.filter(|_| is_right).ok_or(SessionError::InvalidCredentials)?;
        self.tokens(&account, None).await
    }

    fn session(&self, account: &Account) -> Session {
        let now = self.ports.clock.now();
        Session {
            id: self.ports.ids.next(),
            account: account.id,
            epoch: account.epoch,
            generation: 1,
            created_at: now,
            rotated_at: now,
            idle_until: now.saturating_add(self.rules.session_idle),
            ends_at: now.saturating_add(self.rules.session_max),
            revoked: false,
        }
    }

    /// What it means that a token has not rotated its session, which is still there.
    fn without_rotation(&self, session: &Session, token: RefreshToken, at: Timestamp) -> RefreshOutcome {
        if session.generation == token.generation + 1
            && at < session.rotated_at.saturating_add(self.rules.refresh_grace)
        {
            RefreshOutcome::Concurrent
        } else if token.generation < session.generation {
            RefreshOutcome::Reused
        } else {
            RefreshOutcome::Ended
        }
    }

    async fn tokens(&self, account: &Account, refresh: Option<(Uuid, i64)>) -> Result<Tokens, SessionError> {
        let (ports, rules) = (&self.ports, &self.rules);
        let scope = words::join(&self.permissions(&account.roles).await?);
        let issued = ports.clock.now().as_millis().div_euclid(1_000);
        let client_id = match account.kind {
            AccountKind::User => FIRST_PARTY,
            AccountKind::Service => account.name.as_str(),
        };
        let claims = Claims {
            iss: &rules.issuer,
            aud: &rules.audience,
            sub: account.id,
            client_id,
            iat: issued,
            exp: issued.saturating_add_unsigned(rules.token_lifetime.as_secs()),
            jti: ports.ids.next(),
            scope: &scope,
        };
        let access_token = ports.signer.sign(&claims).await?.into();
        let refresh_token =
            refresh.map(|(session, generation)| RefreshToken { session, generation }.encode(&ports.keys));
        Ok(Tokens { access_token, expires_in: rules.token_lifetime, refresh_token, scope })
    }

    /// What the roles permit. A role that does not exist permits nothing.
    async fn permissions(&self, roles: &Words) -> Result<Words, SessionError> {
        let known = self.ports.store.list_roles().await?;
        Ok(known.into_iter().filter(|role| roles.contains(&role.name)).flat_map(|role| role.permissions).collect())
    }
}

fn busy(error: PasswordError) -> SessionError {
    match error {
        PasswordError::Overloaded => SessionError::Overloaded,
        PasswordError::Failed(source) => SessionError::Unavailable(source),
    }
}
