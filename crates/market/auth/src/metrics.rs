//! Metrics of logins and sessions.

use kennel_telemetry::metrics::Label;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::store::AccountKind;

/// Counts logins and refreshes. Clones update the same series.
#[derive(Debug, Clone)]
pub struct AuthServiceMetrics {
    logins: IntCounterVec,
    refreshes: IntCounterVec,
}

/// How an attempt to get tokens with a password or a secret ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// With tokens.
    Ok,
    /// The name or the password was wrong.
    Failed,
    /// There were too many attempts.
    Throttled,
    /// The service could not check it.
    Error,
}

/// How a refresh ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// With the successor of the token.
    Rotated,
    /// With the same successor, which another call had caused a moment before.
    Concurrent,
    /// The token was replaced before: the session was ended.
    Reused,
    /// The session has ended.
    Ended,
    /// This service has not created the token.
    Invalid,
}

impl AuthServiceMetrics {
    /// Registers `auth_logins_total{kind,outcome}` and `auth_refreshes_total{outcome}`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let logins = Opts::new("auth_logins_total", "Attempts to get tokens with a password or a secret");
        let refreshes = Opts::new("auth_refreshes_total", "Attempts to get tokens with a refresh token");
        let metrics = Self {
            logins: IntCounterVec::new(logins, &["kind", "outcome"])?,
            refreshes: IntCounterVec::new(refreshes, &["outcome"])?,
        };
        registry.register(Box::new(metrics.logins.clone()))?;
        registry.register(Box::new(metrics.refreshes.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn login(&self, kind: AccountKind, outcome: LoginOutcome) {
        self.logins.with_label_values(&[kind.name(), outcome.as_str()]).inc();
    }

    pub(crate) fn refresh(&self, outcome: RefreshOutcome) {
        self.refreshes.with_label_values(&[outcome.as_str()]).inc();
    }
}

impl Label for LoginOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::Error => "error",
        }
    }
}

impl Label for RefreshOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Concurrent => "concurrent",
            Self::Reused => "reused",
            Self::Ended => "ended",
            Self::Invalid => "invalid",
        }
    }
}
