//! Maps errors of the domain service to problem responses.

use axum::response::{IntoResponse, Response};
use dogs_domain::DogError;
use kennel_core::ServiceError as _;
use kennel_http::HttpError;
use kennel_http::problem::DEFAULT_RETRY_AFTER;

/// The header with the key of a request or an import.
const KEY: &str = "Idempotency-Key";

/// An error of a handler.
#[derive(Debug)]
pub(super) struct ApiError(HttpError);

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

impl From<DogError> for ApiError {
    fn from(error: DogError) -> Self {
        let kind = error.kind();
        let mut shown = HttpError::new(kind);
        if kind.is_client() {
            shown = shown.with_detail(error.message(KEY));
        }
        if let Some((field, reason)) = error.invalid_value(KEY) {
            shown = shown.with_field(field, reason);
        }
        let shown = if kind.is_transient() {
            shown.with_retry_after(error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER))
        } else {
            shown
        };
        Self(shown.with_source(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dogs_domain::ports::SourceError;
    use kennel_core::RepoError;

    use super::*;

    fn shown(error: DogError) -> Response {
        ApiError::from(error).into_response()
    }

    #[test]
    fn unavailable_has_a_retry_after() {
        let source = |retry_after| SourceError::Unavailable { retry_after, source: "down".into() };
        let response = shown(source(Some(Duration::from_secs(17))).into());
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &17.into()));
        assert_eq!(shown(source(None).into()).headers()["retry-after"], "5");
        assert_eq!(shown(RepoError::Unavailable("down".into()).into()).headers()["retry-after"], "5");
        assert!(shown(DogError::KeyReused).headers().get("retry-after").is_none());
    }

    #[test]
    fn kinds_map_to_their_status() {
        assert_eq!(shown(DogError::KeyReused).status(), 422);
        assert_eq!(shown(DogError::NotAPicture).status(), 415);
        assert_eq!(shown(SourceError::Unusable("x".into()).into()).status(), 502);
        assert_eq!(shown(SourceError::Timeout("x".into()).into()).status(), 504);
        assert_eq!(shown(RepoError::Corrupt("x".into()).into()).status(), 500);
    }
}
