//! Authentication and scopes, behind the port of the servers.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_client::{BuildError, Client, ClientMetrics};
use kennel_core::Clock;
use kennel_net::{AccessCheck, AccessDenied, Authenticated, Operation};

use crate::api_keys::ApiKeys;
use crate::config::{AuthConfig, Mode};
use crate::key_set::{FileKeys, HttpKeys, KeySet};
use crate::metrics::AuthMetrics;
use crate::refusal::{AuthError, Refusal};
use crate::rules::{Access, AccessRules};
use crate::verifier::Verifier;

/// The header with an API key; for gRPC it is the metadata key.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Lets a request pass whose caller is known and has the scope of the operation.
#[derive(Debug)]
pub struct Gate {
    rules: AccessRules,
    verifier: Option<Verifier>,
    api_keys: ApiKeys,
    metrics: AuthMetrics,
}

/// The credentials of a request.
enum Credentials<'a> {
    Token(&'a str),
    ApiKey(&'a [u8]),
}

impl AuthConfig {
    /// The gate of a service; `None` if every request is accepted. Reads no keys yet.
    pub fn gate(
        &self,
        rules: AccessRules,
        clock: Arc<dyn Clock>,
        clients: &ClientMetrics,
        metrics: AuthMetrics,
    ) -> Result<Option<Gate>, BuildError> {
        let verifier = match self.mode() {
            Mode::None => return Ok(None),
            Mode::ApiKey => None,
            Mode::Jwt => Some(self.verifier(clock, clients, metrics.clone())?),
        };
        Ok(Some(Gate::new(rules, verifier, self.api_keys(), metrics)))
    }

    /// The verifier of the configured issuer's tokens. Reads no keys yet.
    pub fn verifier(
        &self,
        clock: Arc<dyn Clock>,
        clients: &ClientMetrics,
        metrics: AuthMetrics,
    ) -> Result<Verifier, BuildError> {
        let (max_age, min_interval) = (self.auth_keys_max_age.get(), self.auth_keys_min_interval.get());
        let keys = if let Some(url) = self.jwks_url() {
            let client = Client::new("auth_keys", &HttpKeys::client_config(), clients)?;
            KeySet::new(HttpKeys::new(url, client), max_age, min_interval, metrics)
        } else {
            let file = FileKeys(self.auth_jwks_file.clone().unwrap_or_default());
            KeySet::new(file, max_age, min_interval, metrics)
        };
        Ok(Verifier::new(self.token_rules(), keys, clock))
    }
}

impl Gate {
    /// A gate for callers with tokens, if there is a verifier, and for callers with API keys.
    pub const fn new(rules: AccessRules, verifier: Option<Verifier>, api_keys: ApiKeys, metrics: AuthMetrics) -> Self {
        Self { rules, verifier, api_keys, metrics }
    }

    /// Who sent a request with these headers.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Authenticated, AuthError> {
        match (self.credentials(headers)?, &self.verifier) {
            (Credentials::Token(token), Some(verifier)) => {
                let caller = verifier.verify(token).await?;
                Ok(Authenticated { expires: verifier.end_of(&caller), principal: caller.principal })
            }
            (Credentials::Token(_), None) => Err(Refusal::Missing.into()),
            (Credentials::ApiKey(key), _) => Ok(self.api_keys.find(key)?.clone().into()),
        }
    }

    /// The only credentials of the request: with two of them, it would depend on the service which ones count.
    fn credentials<'a>(&self, headers: &'a HeaderMap) -> Result<Credentials<'a>, Refusal> {
        let tokens = headers.get_all(AUTHORIZATION).iter().filter_map(bearer).map(Credentials::Token);
        let keys = headers.get_all(API_KEY).iter().filter(|_| !self.api_keys.is_empty());
        let mut sent = tokens.chain(keys.map(|key| Credentials::ApiKey(key.as_bytes())));
        match (sent.next(), sent.next()) {
            (None, _) => Err(Refusal::Missing),
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Refusal::Malformed),
        }
    }

    fn denied(&self, error: AuthError) -> AccessDenied {
        match error {
            AuthError::Refused(refusal) => {
                self.metrics.refused(refusal);
                AccessDenied::unauthenticated(refusal.code(), refusal.detail(), self.challenge(refusal))
            }
            AuthError::Unavailable(source) => {
                self.metrics.unavailable();
                AccessDenied::unavailable(source)
            }
        }
    }

    /// `WWW-Authenticate` of a refusal (RFC 6750, section 3): without an error if there were no credentials.
    fn challenge(&self, refusal: Refusal) -> HeaderValue {
        if self.verifier.is_none() {
            return HeaderValue::from_static("ApiKey");
        }
        match refusal {
            Refusal::Missing | Refusal::UnknownApiKey => HeaderValue::from_static("Bearer"),
            _ => header(&format!("Bearer error=\"invalid_token\", error_description=\"{}\"", refusal.detail())),
        }
    }

    fn without_scope(&self, scope: &str) -> AccessDenied {
        self.metrics.missing_scope();
        let challenge =
            self.verifier.as_ref().map(|_| header(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")));
        AccessDenied::forbidden(format!("the scope {scope} is required"), challenge)
    }
}

#[async_trait]
impl AccessCheck for Gate {
    async fn check(
        &self,
        operation: Operation<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<Authenticated>, AccessDenied> {
        let access = self.rules.find(operation);
        if access == Some(&Access::Public) {
            return Ok(None);
        }
        let caller = self.authenticate(headers).await.map_err(|error| self.denied(error))?;
        match access {
            Some(Access::Scope(scope)) if !caller.principal.has_scope(scope) => Err(self.without_scope(scope)),
            Some(_) => Ok(Some(caller)),
            None => Err(AccessDenied::forbidden("this operation is open to no one", None)),
        }
    }
}

/// The token, if the header has the scheme `Bearer`, whose name is case-insensitive.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}
