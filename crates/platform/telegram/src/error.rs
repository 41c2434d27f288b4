//! Why a call of the Bot API failed.

use std::time::Duration;

use kennel_client::ClientError;
use kennel_core::{ErrorKind, ServiceError};

/// Why a call of the Bot API failed. None of the texts contains the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelegramError {
    /// The token is not valid, or was revoked.
    #[error("telegram does not know the token")]
    Unauthorized,
    /// Another process polls with this token, or the bot has a webhook; with Telegram's text.
    #[error("the updates of this bot go elsewhere: {0}")]
    Conflict(String),
    /// There were too many calls.
    #[error("telegram answers again in {} s", .0.as_secs())]
    TooManyRequests(Duration),
    /// The bot may not do this, such as write to somebody who has blocked it.
    #[error("telegram refused the call with {code}: {description}")]
    Refused {
        /// The code, such as 400 or 403.
        code: u16,
        /// Telegram's text.
        description: String,
    },
    /// The Bot API is unreachable, or its response cannot be read.
    #[error("telegram cannot be called")]
    Call(#[from] ClientError),
    /// The parameters of the call cannot be encoded, or the URL is none.
    #[error("the call is invalid")]
    Invalid(#[source] kennel_core::BoxError),
}

impl ServiceError for TelegramError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyRequests(_) | Self::Conflict(_) => ErrorKind::Unavailable,
            Self::Unauthorized | Self::Refused { .. } => ErrorKind::BadUpstream,
            Self::Call(error) => error.kind(),
            Self::Invalid(_) => ErrorKind::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests(pause) => Some(*pause),
            Self::Call(error) => error.retry_after(),
            _ => None,
        }
    }
}
