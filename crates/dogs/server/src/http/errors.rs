//! Maps errors of the domain service to problem responses.

use std::time::Duration;

use axum::http::header::CONTENT_RANGE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use dogs_domain::DogError;
use dogs_domain::ports::SourceError;
use kennel_core::ErrorKind;
use kennel_http::HttpError;
use kennel_http::etag::InvalidETag;

/// When to retry, if the cause does not say.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An error of a handler.
#[derive(Debug)]
pub(super) enum ApiError {
    /// A problem response.
    Http(HttpError),
    /// The requested range does not exist in an object of `size` bytes.
    RangeNotSatisfiable {
        /// The size of the object, in bytes.
        size: u64,
    },
}

impl ApiError {
    /// The service is overloaded; the client should retry later.
    pub(super) fn overloaded(cause: &'static str) -> Self {
        Self::Http(HttpError::new(ErrorKind::Overloaded).with_retry_after(RETRY_AFTER).with_source(cause))
    }
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<InvalidETag> for ApiError {
    fn from(error: InvalidETag) -> Self {
        Self::Http(HttpError::from_error(ErrorKind::Internal, error))
    }
}

impl From<DogError> for ApiError {
    fn from(error: DogError) -> Self {
        let kind = error.kind();
        let shown = match &error {
            DogError::Invalid { field, reason } => HttpError::invalid(*field, reason.clone()),
            other => match other.field() {
                Some(field) => HttpError::invalid(field, other.to_string()).with_detail(other.to_string()),
                None if kind.is_client() => HttpError::new(kind).with_detail(other.to_string()),
                None => HttpError::new(kind),
            },
        };
        let shown = if kind.is_transient() { shown.with_retry_after(retry_after(&error)) } else { shown };
        Self::Http(shown.with_source(error))
    }
}

fn retry_after(error: &DogError) -> Duration {
    match error {
        DogError::Source(SourceError::Unavailable { retry_after: Some(after), .. }) => *after,
        _ => RETRY_AFTER,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Http(error) => error.into_response(),
            Self::RangeNotSatisfiable { size } => {
                // The outermost layer adds a problem to a bare status.
                (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
            }
        }
    }
}

/// The value of a text header. Fails when it is not visible ASCII.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let text = headers.get(name).map(axum::http::HeaderValue::to_str).transpose();
    text.map_err(|_| HttpError::invalid(name.as_str(), "must be visible ASCII characters").into())
}

#[cfg(test)]
mod tests {
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
