//! The port that decides who may call what. The servers ask it before a handler runs, and answer its refusals in the way of
//! their protocol.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method};
use kennel_core::{BoxError, ErrorKind, Principal};
use tokio::time::{Instant, sleep_until};

/// What a request calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A route of HTTP: its method and its template, such as `/api/v1/dogs/{id}`.
    Http(&'a Method, &'a str),
    /// A method of gRPC.
    Grpc {
        /// Its path, such as `/dogs.v1.DogService/GetDog`.
        path: &'a str,
        /// Whether it only reads: its descriptor says that it has no side effects.
        reads: bool,
    },
}

/// Decides who may call what.
#[async_trait]
pub trait AccessCheck: Send + Sync + 'static {
    /// Returns who sent a request with these headers; `None` if anyone may call the operation. An operation that nothing is known about is refused.
    async fn check(&self, operation: Operation<'_>, headers: &HeaderMap)
    -> Result<Option<Authenticated>, AccessDenied>;
}

/// Who sent a request, and how long its credentials are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The caller.
    pub principal: Principal,
    /// When the credentials expire; `None` if they do not. Servers end the stream that the caller has open then.
    pub expires: Option<Instant>,
}

/// Credentials that do not expire.
impl From<Principal> for Authenticated {
    fn from(principal: Principal) -> Self {
        Self { principal, expires: None }
    }
}

/// Completes when credentials expire; never if they do not.
pub async fn expired(expires: Option<Instant>) {
    match expires {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A request was refused before its handler ran.
pub struct AccessDenied {
    kind: ErrorKind,
    code: &'static str,
    detail: Cow<'static, str>,
    challenge: Option<HeaderValue>,
    source: Option<BoxError>,
}

impl AccessDenied {
    /// The request has no valid credentials. `code` says what is wrong with them, such as `expired`; `challenge` is the value
    /// of `WWW-Authenticate`, which says what is expected.
    pub const fn unauthenticated(code: &'static str, detail: &'static str, challenge: HeaderValue) -> Self {
        let (kind, detail) = (ErrorKind::Unauthenticated, Cow::Borrowed(detail));
        Self { kind, code, detail, challenge: Some(challenge), source: None }
    }

    /// The credentials were valid, and have expired since.
    pub const fn expired() -> Self {
        let challenge = "Bearer error=\"invalid_token\", error_description=\"the credentials have expired\"";
        Self::unauthenticated("expired", "the credentials have expired", HeaderValue::from_static(challenge))
    }

    /// The caller is known, but may not do this. `challenge` is the value of `WWW-Authenticate`, if there is one.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>, challenge: Option<HeaderValue>) -> Self {
        let kind = ErrorKind::PermissionDenied;
        Self { kind, code: kind.codes().code, detail: detail.into(), challenge, source: None }
    }

    /// The credentials cannot be checked, because of `source`.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        let kind = ErrorKind::Unavailable;
        Self { kind, code: kind.codes().code, detail: "".into(), challenge: None, source: Some(source.into()) }
    }

    /// The kind, which decides the status.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, as a stable code: one for each reason, or that of the kind.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, for the caller.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The value of `WWW-Authenticate`.
    pub const fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }
}

impl fmt::Debug for AccessDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessDenied").field("code", &self.code).field("source", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { f.write_str("credentials cannot be checked") } else { f.write_str(&self.detail) }
    }
}

impl std::error::Error for AccessDenied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
