//! JSON bodies.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use kennel_core::ErrorKind;
use kennel_core::json::{JsonError, read_object};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::invalid;
use crate::problem::HttpError;

/// A JSON body of a request or a response. A request's body must be one object.
///
/// Rejects another content type with 415, a body over the limit with 413, text that is not JSON with 400, and JSON that
/// is not an object or has an invalid value with 422 and the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        if !is_json(request.headers()) {
            let error = HttpError::new(ErrorKind::UnsupportedMediaType);
            return Err(error.with_detail("the content type must be application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| unreadable(&error))?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parses JSON text from a client.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    read_object(bytes).map_err(|error| match &error {
        JsonError::Syntax(_) => HttpError::new(ErrorKind::Malformed).with_detail(format!("the body is {error}")),
        JsonError::NotAnObject => invalid("body", &error.to_string()),
        JsonError::Value { field, reason } => invalid(field.as_deref().unwrap_or("body"), reason),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(sent) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = sent.split(';').next().unwrap_or(sent).trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Maps a body that could not be read completely.
pub(crate) fn unreadable(rejection: &BytesRejection) -> HttpError {
    crate::body::classify(rejection)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only rejections are tested")]
    struct Dog {
        name: String,
        #[serde(default)]
        tags: Vec<Tag>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only rejections are tested")]
    struct Tag {
        weight: u8,
    }

    fn fault(text: &str) -> (ErrorKind, String) {
        let error = parse::<Dog>(text.as_bytes()).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn the_invalid_field_is_named() {
        for (text, field) in [
            ("{}", "name: "),
            (r#"{"name":1}"#, "name: "),
            (r#"{"name":"a","age":3}"#, "age: "),
            (r#"{"name":"a","tags":[{"weight":1},{"weight":999}]}"#, "tags[1].weight: "),
            (r#"{"name":"a","tags":[{}]}"#, "tags[0].weight: "),
            ("[]", "body: "),
            ("7", "body: "),
        ] {
            let (kind, detail) = fault(text);
            assert_eq!(kind, ErrorKind::Invalid, "{text}");
            assert!(detail.starts_with(field), "{text}: {detail}");
            assert!(!detail.contains(" at line "), "{detail}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_malformed() {
        for text in ["", "{", r#"{"name":"a"} x"#, r#"{"name":"a",}"#, "\u{0}"] {
            assert_eq!(fault(text).0, ErrorKind::Malformed, "{text}");
        }
    }

    #[test]
    fn reasons_are_truncated() {
        let (_, detail) = fault(&format!(r#"{{"name":"a","tags":"{}"}}"#, "x".repeat(10_000)));
        assert!(detail.len() < 300, "{}", detail.len());
    }

    #[test]
    fn content_types() {
        let with = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(&with(good)), "{good}");
        }
        for bad in ["text/plain", "application/x-ndjson", "json", "text/html+json"] {
            assert!(!is_json(&with(bad)), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
