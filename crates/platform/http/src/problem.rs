//! Errors as clients see them: RFC 9457 problem details, in the same format from every route and layer.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use kennel_core::{BoxError, ErrorKind, ServiceError};
use kennel_net::{AccessDenied, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::stack::finish;

/// The content type of a [`Problem`].
pub const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// When to retry, if the cause does not say.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The challenge of a response with status 401, which must have one (RFC 9110, section 15.5.2).
const DEFAULT_CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// Body of every response with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`; `code` distinguishes problems.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: &'static str,
    /// Reason phrase of the status.
    #[schema(value_type = String, example = "Not Found")]
    pub title: Cow<'static, str>,
    /// HTTP status code.
    #[schema(example = 404)]
    pub status: u16,
    /// Stable, machine-readable name of the problem.
    #[schema(value_type = String, example = "not_found")]
    pub code: Cow<'static, str>,
    /// What is wrong with this request. Absent if the service is at fault, not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Id of this request in the logs of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Invalid values of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Name of the field or parameter, as the caller wrote it.
    #[schema(example = "breed")]
    pub field: String,
    /// What the value has to be.
    pub reason: String,
}

impl Problem {
    /// The problem for a response that has only a status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = ErrorKind::ALL.into_iter().find(|kind| kind.codes().http == status.as_u16());
        let code = match kind {
            // Two kinds share this status; without a kind, report the more general one.
            _ if status == StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable.codes().code.into(),
            Some(kind) => kind.codes().code.into(),
            None => title.to_ascii_lowercase().replace([' ', '-'], "_").replace('\'', "").into(),
        };
        Self {
            kind: "about:blank",
            title: title.into(),
            status: status.as_u16(),
            code,
            detail: None,
            request_id: None,
            errors: Vec::new(),
        }
    }
}

/// What a handler returns.
pub type Reply<T> = Result<T, HttpError>;

/// An error of a handler or layer. The kind decides status and code; see [`ErrorKind::codes`].
///
/// The client sees details and fields only if it is at fault. It never sees a source: the source is logged once, when
/// the error becomes a response.
#[derive(Debug)]
pub struct HttpError {
    kind: ErrorKind,
    /// A more specific code than that of the kind.
    code: Option<&'static str>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    /// Boxed, because errors are returned by value and this is rare.
    challenge: Option<Box<HeaderValue>>,
    source: Option<BoxError>,
}

impl HttpError {
    /// An error of this kind without details. One for missing authentication asks for a bearer token, and one for too
    /// many requests for a retry after [`DEFAULT_RETRY_AFTER`], unless set otherwise.
    pub const fn new(kind: ErrorKind) -> Self {
        let retry_after = if matches!(kind, ErrorKind::RateLimited) { Some(DEFAULT_RETRY_AFTER) } else { None };
        Self { kind, code: None, detail: None, errors: Vec::new(), retry_after, challenge: None, source: None }
    }

    /// Maps `error` to `kind`. The client sees its text only if it is at fault; otherwise the text is only logged.
    pub fn from_error(kind: ErrorKind, error: impl Into<BoxError>) -> Self {
        let error = error.into();
        let detail = kind.is_client().then(|| error.to_string());
        Self { detail, source: Some(error), ..Self::new(kind) }
    }

    /// The service is overloaded; the client should retry after [`DEFAULT_RETRY_AFTER`].
    pub fn overloaded(cause: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Overloaded).with_retry_after(DEFAULT_RETRY_AFTER).with_source(cause)
    }

    /// An invalid value in the request.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid).with_field(field, reason)
    }

    /// Sets a code that is more specific than that of the kind.
    #[must_use]
    pub const fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets the description of what is wrong; only a client at fault sees it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds an invalid value; only a client at fault sees it.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        self.detail.get_or_insert_with(|| format!("{field}: {reason}"));
        self.errors.push(FieldError { field, reason });
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets `WWW-Authenticate`: how the caller can authenticate, or, for permissions, what its token lacks, such as
    /// `Bearer error="insufficient_scope", scope="dogs:write"` (RFC 6750, section 3).
    #[must_use]
    pub fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// Sets the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The response of a server without [`crate::stack()`], which would add the request's id and the security headers.
    pub fn respond(self, id: &RequestId) -> Response {
        finish(self.into_response(), id)
    }

    /// Kind of the error.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn code(&self) -> &'static str {
        self.code.unwrap_or(self.kind.codes().code)
    }

    fn log(&self) {
        let source = self.source.as_deref().map(|source| source as &(dyn Error + 'static));
        let code = self.code();
        match self.kind {
            kind if kind.is_client() => tracing::debug!(code, error = source, detail = self.detail, "request refused"),
            ErrorKind::Overloaded | ErrorKind::Unsupported => tracing::debug!(code, error = source, "request refused"),
            ErrorKind::Internal => tracing::error!(code, error = source, "request failed"),
            _ => tracing::warn!(code, error = source, "request failed"),
        }
    }

    fn problem(self) -> Problem {
        let is_client = self.kind.is_client();
        Problem {
            kind: "about:blank",
            title: status(self.kind).canonical_reason().unwrap_or("Client Closed Request").into(),
            status: self.kind.codes().http,
            code: self.code().into(),
            detail: self.detail.filter(|_| is_client),
            request_id: None,
            errors: if is_client { self.errors } else { Vec::new() },
        }
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(self.code()))
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The response to an error of a service, for `map_err`.
pub fn failed(error: impl ServiceError) -> HttpError {
    let retry_after = error.retry_after();
    retry_after.into_iter().fold(HttpError::from_error(error.kind(), error), HttpError::with_retry_after)
}

impl From<AccessDenied> for HttpError {
    fn from(denied: AccessDenied) -> Self {
        let error = Self::new(denied.kind()).with_code(denied.code()).with_detail(denied.detail());
        let error = match denied.challenge() {
            Some(challenge) => error.with_challenge(challenge.clone()),
            None => error,
        };
        error.with_source(denied)
    }
}

impl From<ErrorKind> for HttpError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        self.log();
        let retry_after = self.retry_after;
        let default = (self.kind == ErrorKind::Unauthenticated).then_some(DEFAULT_CHALLENGE);
        let challenge = self.challenge.as_deref().cloned().or(default);
        let problem = Arc::new(self.problem());
        let mut response = render(&problem);
        if let Some(after) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds(after));
        }
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        // The outermost layer renders it again with the request's id.
        response.extensions_mut().insert(problem);
        response
    }
}

/// A response with the problem as its body.
pub(crate) fn render(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    let content_type = HeaderValue::from_static(CONTENT_TYPE_PROBLEM);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn status(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(kind.codes().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Seconds, rounded up to an integer of at least one.
fn seconds(after: Duration) -> HeaderValue {
    let rounded = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    HeaderValue::from(rounded.max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::BodyExt as _;
    use kennel_core::RepoError;
    use serde_json::{Value, json};

    use super::*;

    async fn body(error: HttpError) -> (Response<()>, Value) {
        let (parts, body) = error.into_response().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn every_kind_is_a_problem_with_its_status() {
        for kind in ErrorKind::ALL {
            let (response, body) = body(HttpError::new(kind)).await;
            assert_eq!(response.status().as_u16(), kind.codes().http);
            assert_eq!(response.headers()[CONTENT_TYPE], CONTENT_TYPE_PROBLEM);
            assert_eq!(body["code"], kind.codes().code);
            assert_eq!(body["status"], kind.codes().http);
        }
    }

    #[tokio::test]
    async fn details_of_server_errors_never_reach_the_client() {
        for kind in ErrorKind::ALL.into_iter().filter(|kind| !kind.is_client()) {
            let error = HttpError::from_error(kind, std::io::Error::other("password=hunter2"))
                .with_detail("hunter2")
                .with_field("hunter2", "hunter2");
            let (_, body) = body(error).await;
            assert!(!body.to_string().contains("hunter2"), "{body}");
            assert_eq!(body.as_object().unwrap().len(), 4, "type, title, status and code: {body}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("there is no provider")]
    struct NoProvider;

    impl ServiceError for NoProvider {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Unavailable
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(7))
        }
    }

    #[tokio::test]
    async fn an_error_of_a_service_has_the_status_of_its_kind() {
        let (response, body) = body(failed(NoProvider)).await;
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (503, &HeaderValue::from(7)));
        assert_eq!((&body["code"], body.get("detail")), (&json!("unavailable"), None));
        assert_eq!(failed(RepoError::Conflict).to_string(), "already exists");
    }

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_cause_is_logged_once_with_its_sources() {
        let buffer = LogBuffer::default();
        let out = buffer.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || out.clone()).finish();
        let cause = RepoError::Backend(std::io::Error::other("disk on fire").into());
        let subscribed = kennel_testkit::spans::subscribe(lines);
        assert_eq!(HttpError::from_error(ErrorKind::Internal, cause).into_response().status(), 500);
        drop(subscribed);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for expected in ["ERROR", "request failed", "storage operation failed", "disk on fire"] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[tokio::test]
    async fn a_client_sees_what_is_wrong_with_its_request() {
        let (_, body) = body(HttpError::invalid("breed", "must be one word")).await;
        assert_eq!(body["detail"], "breed: must be one word");
        assert_eq!(body["errors"], json!([{ "field": "breed", "reason": "must be one word" }]));
    }

    #[tokio::test]
    async fn retry_after_is_rounded_up_to_seconds() {
        for (millis, expected) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2")] {
            let error = HttpError::new(ErrorKind::Overloaded).with_retry_after(Duration::from_millis(millis));
            let (response, _) = body(error).await;
            assert_eq!(response.headers()[RETRY_AFTER], expected);
        }
    }

    #[tokio::test]
    async fn authentication_is_challenged_and_rate_limits_name_a_delay() {
        let header = |error: HttpError, name| error.into_response().headers().get(name).cloned();
        for kind in ErrorKind::ALL {
            let expected = (kind == ErrorKind::Unauthenticated).then(|| HeaderValue::from_static("Bearer"));
            assert_eq!(header(HttpError::new(kind), WWW_AUTHENTICATE), expected, "{kind:?}");
            let expected = (kind == ErrorKind::RateLimited).then(|| HeaderValue::from_static("5"));
            assert_eq!(header(HttpError::new(kind), RETRY_AFTER), expected, "{kind:?}");
        }
        let scope = HeaderValue::from_static(r#"Bearer error="insufficient_scope""#);
        let denied = HttpError::new(ErrorKind::PermissionDenied).with_challenge(scope.clone());
        assert_eq!(header(denied, WWW_AUTHENTICATE), Some(scope));
        let limited = HttpError::new(ErrorKind::RateLimited).with_retry_after(Duration::from_secs(90));
        assert_eq!(header(limited, RETRY_AFTER), Some(HeaderValue::from_static("90")));
    }

    #[test]
    fn bare_statuses_have_codes() {
        for (status, code) in [
            (401, "unauthenticated"),
            (404, "not_found"),
            (503, "unavailable"),
            (418, "im_a_teapot"),
            (429, "rate_limited"),
        ] {
            assert_eq!(Problem::of_status(StatusCode::from_u16(status).unwrap()).code, code);
        }
    }
}
