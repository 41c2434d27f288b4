//! What clients send and see.

use kennel_config::Secret;
use kennel_http::HttpError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sessions::{SessionError, Tokens};

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// The name of the user.
    #[schema(max_length = 64, example = "admin")]
    pub(crate) name: String,
    /// The password.
    #[schema(value_type = String, format = Password, max_length = 256)]
    pub(crate) password: Secret,
}

/// A program that wants a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueRequest {
    /// The name of the service account.
    #[schema(max_length = 64, example = "reporting")]
    pub(crate) name: String,
    /// Its secret.
    #[schema(value_type = String, format = Password, max_length = 64)]
    pub(crate) secret: Secret,
}

/// A session, by its refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// The refresh token.
    #[schema(value_type = String, max_length = 100)]
    pub(crate) refresh_token: Secret,
}

/// Tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// For the services, in the header `Authorization: Bearer …`.
    access_token: String,
    /// How `access_token` is sent.
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// How long it is valid, in seconds.
    #[schema(example = 300)]
    expires_in: u64,
    /// For the next tokens. Only the newest one of a session is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// The scopes, separated by spaces.
    #[schema(example = "market:read")]
    scope: String,
}

/// The keys that access tokens are verified with (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySetResponse {
    /// The keys: the one that is in use, the next one, and those that were in use a short time ago.
    #[schema(value_type = Vec<Object>)]
    pub(crate) keys: Vec<kennel_auth::Jwk>,
}

impl From<Tokens> for TokenResponse {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh_token.map(|token| token.expose().to_owned()),
            scope: tokens.scope,
        }
    }
}

impl From<SessionError> for HttpError {
    fn from(error: SessionError) -> Self {
        let code = match error {
            SessionError::InvalidCredentials => Some("invalid_credentials"),
            SessionError::InvalidRefreshToken => Some("invalid_refresh_token"),
            _ => None,
        };
        let retry_after = match error {
            SessionError::TooManyAttempts { retry_after } => Some(retry_after),
            _ => None,
        };
        let answer = Self::from_error(error.kind(), error);
        let answer = code.into_iter().fold(answer, Self::with_code);
        retry_after.into_iter().fold(answer, Self::with_retry_after)
    }
}
