//! Settings of authentication.

use std::path::PathBuf;
use std::time::Duration;

use kennel_config::{HumanDuration, Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::algorithm::Algorithm;
use crate::api_keys::ApiKeys;
use crate::verifier::{ACCESS_TOKEN, TokenRules};

/// The longest `AUTH_KEYS_MIN_INTERVAL`: an issuer that signs with a new key only this long after it has published it, is
/// understood at once.
pub const MAX_KEYS_MIN_INTERVAL: Duration = Duration::from_mins(1);

/// How callers authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Not at all: every request is accepted.
    None,
    /// With an API key, in the header `X-API-Key`.
    ApiKey,
    /// With an access token, in the header `Authorization`; or with an API key, if there are any.
    Jwt,
}

/// Who may call the service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuthConfig {
    /// How callers authenticate: `none`, `api-key` (header `X-API-Key`) or `jwt` (access tokens, and API keys if there are any). Unset:
    /// `none` if `SERVER_HOST` is a loopback address, otherwise it must be set.
    pub auth: Option<Mode>,
    /// The issuer of access tokens, as in their claim `iss`.
    pub auth_issuer: Option<String>,
    /// The audience that access tokens must have.
    pub auth_audience: Option<String>,
    /// URL of the issuer's key set (JWKS).
    pub auth_jwks_url: Option<String>,
    /// Whether `AUTH_JWKS_URL` may be an `http` URL of another machine. Whoever is on the way to it can then replace the keys.
    pub auth_jwks_allow_insecure: bool,
    /// File with the issuer's key set, instead of the URL.
    pub auth_jwks_file: Option<PathBuf>,
    /// The algorithms that the issuer may use, separated by commas.
    pub auth_algorithms: Vec<Algorithm>,
    /// The type (`typ`) of access tokens. Some issuers use `JWT`, also for ID tokens, which are then accepted too.
    pub auth_token_type: String,
    /// How far the clocks of issuer and service may differ.
    pub auth_leeway: HumanDuration,
    /// The age at which the keys of the issuer are read again.
    pub auth_keys_max_age: HumanDuration,
    /// The minimum time between two reads of the keys because of tokens with unknown keys.
    pub auth_keys_min_interval: HumanDuration,
    /// Callers with an API key, separated by semicolons or lines: a name, the SHA-256 of its key in hexadecimal, and its scopes,
    /// separated by spaces.
    pub auth_api_keys: Option<Secret>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            auth: None,
            auth_issuer: None,
            auth_audience: None,
            auth_jwks_url: None,
            auth_jwks_allow_insecure: false,
            auth_jwks_file: None,
            auth_algorithms: vec![Algorithm::EdDsa],
            auth_token_type: ACCESS_TOKEN.to_owned(),
            auth_leeway: HumanDuration::from_secs(60),
            auth_keys_max_age: HumanDuration::from_secs(300),
            auth_keys_min_interval: HumanDuration::from_secs(10),
            auth_api_keys: None,
        }
    }
}

impl Section for AuthConfig {
    const TITLE: &'static str = "Authentication";

    fn check(&self, problems: &mut Problems) {
        problems.check_web_url("auth_jwks_url", self.auth_jwks_url.as_deref());
        problems.check_range("auth_leeway", self.auth_leeway, ..=HumanDuration::from_secs(300));
        let second = HumanDuration::from_secs(1);
        problems.check_range("auth_keys_max_age", self.auth_keys_max_age, second..=HumanDuration::from_secs(3_600));
        let interval = self.auth_keys_min_interval;
        problems.check_range("auth_keys_min_interval", interval, second..=HumanDuration(MAX_KEYS_MIN_INTERVAL));
        if !self.auth_jwks_allow_insecure && self.jwks_url().is_some_and(|url| is_insecure(&url)) {
            problems.add(
                "auth_jwks_url",
                "must be an https URL, or one of a loopback host, unless AUTH_JWKS_ALLOW_INSECURE is set",
            );
        }
        if let Some(Err(error)) = self.auth_api_keys.as_ref().map(ApiKeys::parse) {
            problems.add("auth_api_keys", error.to_string());
        }
        let is_unclear = self.auth.is_none() && (self.auth_jwks_url.is_some() || self.auth_jwks_file.is_some());
        if is_unclear || (self.mode() == Mode::None && self.auth_api_keys.is_some()) {
            problems.add("auth", "must be jwt or api-key for the keys that are set, or none without API keys");
        }
        match self.mode() {
            Mode::None => {}
            Mode::ApiKey => {
                if self.api_keys().is_empty() {
                    problems.add("auth_api_keys", "must be set when AUTH is api-key");
                }
                for (key, is_set) in
                    [("auth_jwks_url", self.auth_jwks_url.is_some()), ("auth_jwks_file", self.auth_jwks_file.is_some())]
                {
                    if is_set {
                        problems.add(key, "must not be set when AUTH is api-key: no tokens are accepted");
                    }
                }
            }
            Mode::Jwt => self.check_jwt(problems),
        }
    }
}

impl AuthConfig {
    fn check_jwt(&self, problems: &mut Problems) {
        for (key, value) in [("auth_issuer", &self.auth_issuer), ("auth_audience", &self.auth_audience)] {
            if value.is_none() {
                problems.add(key, "must be set when AUTH is jwt");
            }
        }
        if self.auth_algorithms.is_empty() {
            problems.add("auth_algorithms", "must not be empty");
        }
        if self.auth_jwks_url.is_some() == self.auth_jwks_file.is_some() {
            problems.add("auth_jwks_url", "either it or AUTH_JWKS_FILE must be set when AUTH is jwt");
        }
    }

    /// How callers authenticate.
    pub fn mode(&self) -> Mode {
        self.auth.unwrap_or(Mode::None)
    }

    /// The callers with an API key.
    pub fn api_keys(&self) -> ApiKeys {
        self.auth_api_keys.as_ref().and_then(|keys| ApiKeys::parse(keys).ok()).unwrap_or_default()
    }

    /// What tokens have to be.
    pub fn token_rules(&self) -> TokenRules {
        TokenRules {
            issuer: self.auth_issuer.clone().unwrap_or_default(),
            audience: self.auth_audience.clone().unwrap_or_default(),
            algorithms: self.auth_algorithms.clone(),
            token_type: self.auth_token_type.clone(),
            leeway: self.auth_leeway.get(),
        }
    }

    pub(crate) fn jwks_url(&self) -> Option<Url> {
        self.auth_jwks_url.as_deref().and_then(|url| Url::parse(url).ok())
    }
}

/// Whether others can change what is read from the URL.
fn is_insecure(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &AuthConfig) -> Vec<String> {
        let errors = config.validate().err().map(|errors| errors.0).unwrap_or_default();
        errors.iter().map(|error| error.location.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn each_mode_needs_its_settings() {
        assert!(problems(&AuthConfig::default()).is_empty());
        let unclear = AuthConfig { auth_jwks_file: Some("jwks.json".into()), ..AuthConfig::default() };
        assert_eq!(problems(&unclear), ["AUTH"], "nothing is accepted by mistake");
        assert!(problems(&AuthConfig { auth: Some(Mode::None), ..unclear }).is_empty());
        assert_eq!(problems(&AuthConfig { auth: Some(Mode::ApiKey), ..AuthConfig::default() }), ["AUTH_API_KEYS"]);
        let jwt = AuthConfig { auth: Some(Mode::Jwt), ..AuthConfig::default() };
        assert_eq!(problems(&jwt), ["AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL"]);
        let complete = AuthConfig {
            auth_issuer: Some("https://id.example".to_owned()),
            auth_audience: Some("kennel".to_owned()),
            auth_jwks_url: Some("https://id.example/jwks".to_owned()),
            ..jwt
        };
        assert!(problems(&complete).is_empty());
        let both = AuthConfig { auth_jwks_file: Some("jwks.json".into()), ..complete.clone() };
        assert_eq!(problems(&both), ["AUTH_JWKS_URL"]);
        let none = AuthConfig { auth_algorithms: Vec::new(), ..complete };
        assert_eq!(problems(&none), ["AUTH_ALGORITHMS"]);
    }

    #[test]
    fn api_keys_alone_exclude_a_key_set() {
        let keys = format!("ann {}", "01".repeat(32)).as_str().into();
        let only = AuthConfig { auth: Some(Mode::ApiKey), auth_api_keys: Some(keys), ..AuthConfig::default() };
        assert!(problems(&only).is_empty());
        let url = AuthConfig { auth_jwks_url: Some("https://id.example/jwks".to_owned()), ..only.clone() };
        assert_eq!(problems(&url), ["AUTH_JWKS_URL"]);
        let file = AuthConfig { auth_jwks_file: Some("jwks.json".into()), ..only };
        assert_eq!(problems(&file), ["AUTH_JWKS_FILE"]);
    }

    #[test]
    fn keys_are_not_read_over_an_open_network_by_mistake() {
        let jwt = |url: &str| AuthConfig {
            auth: Some(Mode::Jwt),
            auth_issuer: Some("issuer".to_owned()),
            auth_audience: Some("kennel".to_owned()),
            auth_jwks_url: Some(url.to_owned()),
            ..AuthConfig::default()
        };
        for url in
            ["https://id.example/jwks", "http://localhost:8085/jwks", "http://127.0.0.2/jwks", "http://[::1]/jwks"]
        {
            assert!(problems(&jwt(url)).is_empty(), "{url}");
        }
        for url in ["http://id.example/jwks", "http://10.0.0.1/jwks", "http://localhost.example/jwks"] {
            assert_eq!(problems(&jwt(url)), ["AUTH_JWKS_URL"], "{url}");
            let allowed = AuthConfig { auth_jwks_allow_insecure: true, ..jwt(url) };
            assert!(problems(&allowed).is_empty(), "{url}");
        }
    }

    #[test]
    fn keys_are_read_again_in_reasonable_times() {
        for (max_age, min_interval, expected) in
            [(3_600, 60, &[][..]), (3_601, 61, &["AUTH_KEYS_MAX_AGE", "AUTH_KEYS_MIN_INTERVAL"])]
        {
            let config = AuthConfig {
                auth_keys_max_age: HumanDuration::from_secs(max_age),
                auth_keys_min_interval: HumanDuration::from_secs(min_interval),
                ..AuthConfig::default()
            };
            assert_eq!(problems(&config), expected);
        }
    }

    #[test]
    fn hashes_of_keys_are_not_printed() {
        let config = AuthConfig {
            auth: Some(Mode::ApiKey),
            auth_api_keys: Some("ann 0123 dogs:read".into()),
            ..AuthConfig::default()
        };
        assert!(!format!("{config:?}").contains("0123"));
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with("AUTH_API_KEYS (not set): entry 1 must be") && !error.contains("0123"), "{error}");
    }
}
