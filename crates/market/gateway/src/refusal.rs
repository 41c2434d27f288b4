//! Responses of the gateway itself: problem details, or a gRPC status for callers that expect one.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kennel_core::ErrorKind;
use kennel_http::{HttpError, RequestId};

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why the gateway answers itself. The error says what the client sees; headers are added to it.
pub(crate) struct Refusal {
    pub(crate) error: HttpError,
    /// The code in the metrics.
    pub(crate) reason: &'static str,
    pub(crate) headers: HeaderMap,
}

impl From<HttpError> for Refusal {
    fn from(error: HttpError) -> Self {
        Self { reason: error.kind().codes().code, error, headers: HeaderMap::new() }
    }
}

impl From<ErrorKind> for Refusal {
    fn from(kind: ErrorKind) -> Self {
        HttpError::new(kind).into()
    }
}

impl Refusal {
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn respond(self, id: &RequestId, is_grpc: bool) -> Response {
        let kind = self.error.kind();
        let message = self.error.to_string();
        let mut response = self.error.respond(id);
        response.headers_mut().extend(self.headers);
        if is_grpc { as_grpc(response, kind, &message) } else { response }
    }
}

/// Whether the caller expects a status in headers.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    // Not grpc-web, whose status is in the body.
    content_type.strip_prefix(GRPC.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A response without a message, whose headers have the status.
fn as_grpc(response: Response, kind: ErrorKind, message: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::OK;
    parts.headers.remove(http::header::CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    parts.headers.insert(GRPC_STATUS, HeaderValue::from(kind.codes().grpc));
    // A server's errors say nothing about their cause.
    let text = if kind.is_client() { message } else { kind.codes().code };
    if let Ok(message) = HeaderValue::from_str(&text.replace('%', "%25")) {
        parts.headers.insert(GRPC_MESSAGE, message);
    }
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use kennel_core::UuidV7;

    use super::*;

    fn respond(error: HttpError, is_grpc: bool) -> Response {
        Refusal::from(error).respond(&RequestId::of(&HeaderMap::new(), &UuidV7), is_grpc)
    }

    #[test]
    fn each_protocol_gets_its_own_form() {
        let error = || HttpError::new(ErrorKind::PermissionDenied).with_detail("it needs the scope x");
        let http = respond(error(), false);
        assert_eq!(
            (http.status(), &http.headers()[CONTENT_TYPE]),
            (StatusCode::FORBIDDEN, &"application/problem+json".parse().unwrap())
        );
        assert!(http.headers().contains_key("x-request-id"));
        let grpc = respond(error(), true);
        assert_eq!(grpc.status(), StatusCode::OK);
        assert_eq!(grpc.headers()[GRPC_STATUS], "7");
        assert_eq!(grpc.headers()[GRPC_MESSAGE], "it needs the scope x");
        let hidden = respond(HttpError::from_error(ErrorKind::Internal, "hunter2"), true);
        assert_eq!(
            (&hidden.headers()[GRPC_STATUS], &hidden.headers()[GRPC_MESSAGE]),
            (&"13".parse().unwrap(), &"internal".parse().unwrap())
        );
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        let of =
            |value: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]));
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;x"));
        assert!(!of("application/grpc-web") && !of("application/json") && !is_grpc(&HeaderMap::new()));
    }
}
