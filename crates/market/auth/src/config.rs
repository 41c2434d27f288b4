//! Settings of the service.

use std::time::Duration;

use kennel_config::{ByteSize, HumanDuration, Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::passwords::Cost;
use crate::sealing::Keys;
use crate::throttle::Limits;

/// Accounts, sessions and tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenConfig {
    /// A random text of at least 32 characters, the same for all replicas. Signing keys are encrypted with it and refresh tokens
    /// are created with it; another one ends all sessions.
    pub token_secret: Option<Secret>,
    /// How long access tokens are valid. They cannot be revoked.
    pub token_lifetime: HumanDuration,
    /// How long a session lasts without being used.
    pub session_idle: HumanDuration,
    /// How long a session lasts at most.
    pub session_max: HumanDuration,
    /// How long after its replacement a refresh token still returns its successor, for concurrent calls of one client and for
    /// answers that were lost. Later it ends the session.
    pub refresh_grace: HumanDuration,
    /// Memory for one hash of a password (Argon2id).
    pub password_memory: ByteSize,
    /// Number of passwords that are hashed at once; more wait.
    pub password_parallel: u32,
    /// Failed attempts of a user's name from one address in a window; more are refused.
    pub login_attempts: u32,
    /// Failed attempts of a user's name from all addresses in a window; more are refused, also those of the user.
    pub login_attempts_per_name: u32,
    /// Failed attempts from one address in a window; more are refused.
    pub login_attempts_per_address: u32,
    /// The length of the windows in which attempts count.
    pub login_window: HumanDuration,
    /// Number of proxies in front of the service that add the address of their client to `X-Forwarded-For`.
    pub trusted_proxies: u32,
    /// Name of a user to create if there are none, with the role `admin`; only while `SERVER_HOST` is a loopback address.
    pub first_admin: Option<String>,
    /// The password of this user.
    pub first_admin_password: Option<Secret>,
    /// What the role `admin` permits when it is created with this user.
    pub first_admin_permissions: Vec<String>,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            token_secret: None,
            token_lifetime: HumanDuration::from_secs(300),
            session_idle: HumanDuration::from_secs(7 * 24 * 3_600),
            session_max: HumanDuration::from_secs(30 * 24 * 3_600),
            refresh_grace: HumanDuration::from_secs(10),
            password_memory: ByteSize::mib(19),
            password_parallel: 2,
            login_attempts: 20,
            login_attempts_per_name: 200,
            login_attempts_per_address: 100,
            login_window: HumanDuration::from_secs(900),
            trusted_proxies: 0,
            first_admin: None,
            first_admin_password: None,
            first_admin_permissions: Vec::new(),
        }
    }
}

impl Section for TokenConfig {
    const TITLE: &'static str = "Accounts and tokens";

    fn check(&self, problems: &mut Problems) {
        match self.token_secret.as_ref().map(Keys::derive) {
            None => problems.add("token_secret", "must be set"),
            Some(Err(error)) => problems.add("token_secret", error.to_string()),
            Some(Ok(_)) => {}
        }
        let second = HumanDuration::from_secs(1);
        problems.check_range("token_lifetime", self.token_lifetime, second..=HumanDuration::from_secs(1_800));
        problems.check_range("session_idle", self.session_idle, second..);
        problems.check_range("session_max", self.session_max, self.session_idle..=HumanDuration::from_hours(365 * 24));
        problems.check_range("refresh_grace", self.refresh_grace, ..=HumanDuration::from_secs(60));
        problems.check_range("password_memory", self.password_memory, ByteSize::mib(1)..=ByteSize::mib(1_024));
        problems.check_range("password_parallel", self.password_parallel, 1..=64);
        problems.check_range("login_attempts", self.login_attempts, 1..=1_000);
        problems.check_range("login_attempts_per_name", self.login_attempts_per_name, self.login_attempts..=100_000);
        problems.check_range("login_attempts_per_address", self.login_attempts_per_address, 1..=100_000);
        problems.check_range("login_window", self.login_window, second..=HumanDuration::from_hours(24));
        problems.check_range("trusted_proxies", self.trusted_proxies, ..=16);
        if self.first_admin.is_some() && self.first_admin_password.is_none() {
            problems.add("first_admin_password", "must be set when FIRST_ADMIN is");
        }
    }
}

impl TokenConfig {
    /// The limits on attempts.
    pub fn limits(&self) -> Limits {
        Limits {
            per_account: self.login_attempts.into(),
            per_name: self.login_attempts_per_name.into(),
            per_address: self.login_attempts_per_address.into(),
            window: self.login_window.get(),
        }
    }

    /// The cost of a hash.
    pub fn cost(&self) -> Cost {
        Cost { memory_bytes: self.password_memory.bytes(), parallel: self.password_parallel as usize }
    }

    /// How long a session that has ended is retained.
    pub const RETENTION: Duration = Duration::from_hours(24);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_required_and_the_rest_has_defaults() {
        let problems = |config: &TokenConfig| config.validate().err().map(|errors| errors.to_string());
        assert_eq!(problems(&TokenConfig::default()), Some("TOKEN_SECRET (not set): must be set".to_owned()));
        let with = |secret: &str| TokenConfig { token_secret: Some(secret.into()), ..TokenConfig::default() };
        let short = problems(&with("hunter2")).unwrap();
        assert!(short.contains("at least 32") && !short.contains("hunter2"), "{short}");
        assert_eq!(problems(&with(&"x".repeat(32))), None);
        let admin = TokenConfig { first_admin: Some("admin".to_owned()), ..with(&"x".repeat(32)) };
        assert!(problems(&admin).unwrap().starts_with("FIRST_ADMIN_PASSWORD"));
    }

    #[test]
    fn limits_cannot_be_switched_off_by_large_numbers() {
        let valid = TokenConfig { token_secret: Some("x".repeat(32).as_str().into()), ..TokenConfig::default() };
        for (setting, config) in [
            ("LOGIN_ATTEMPTS ", TokenConfig { login_attempts: 1_001, login_attempts_per_name: 2_000, ..valid.clone() }),
            ("LOGIN_ATTEMPTS_PER_NAME", TokenConfig { login_attempts_per_name: 19, ..valid.clone() }),
            ("LOGIN_WINDOW", TokenConfig { login_window: HumanDuration::from_hours(25), ..valid.clone() }),
            ("SESSION_MAX", TokenConfig { session_max: HumanDuration::from_hours(366 * 24), ..valid }),
        ] {
            let problem = config.validate().unwrap_err().to_string();
            assert!(problem.starts_with(setting) && problem.lines().count() == 1, "{problem}");
        }
    }
}
