//! Path parameters.

use axum::extract::path::ErrorKind as Fault;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use kennel_core::ErrorKind;
use serde::de::DeserializeOwned;

use crate::problem::HttpError;

/// The path parameters. Rejects an invalid value with 422 and the parameter's name, and invalid UTF-8 with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(rejection_error(rejection, only_name(parts, state).await)),
        }
    }
}

/// The name of the route's parameter if it has exactly one; axum's error for a single value does not contain the name.
async fn only_name<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    let mut names = params.iter().map(|(name, _)| name.to_owned());
    names.next().filter(|_| names.next().is_none())
}

fn rejection_error(rejection: PathRejection, only: Option<String>) -> HttpError {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return HttpError::from_error(ErrorKind::Internal, rejection);
    };
    let only = only.unwrap_or_else(|| "path".to_owned());
    match failed.into_kind() {
        Fault::ParseErrorAtKey { key, expected_type, .. } => must_be(key, expected_type),
        Fault::ParseError { expected_type, .. } => must_be(only, expected_type),
        Fault::DeserializeError { key, message, .. } => HttpError::invalid(key, message),
        Fault::Message(message) => HttpError::invalid(only, message),
        Fault::InvalidUtf8InPathParam { .. } => {
            HttpError::new(ErrorKind::Malformed).with_detail("the path is not valid UTF-8")
        }
        // The handler's type does not match its route.
        other => HttpError::from_error(ErrorKind::Internal, other.to_string()),
    }
}

fn must_be(name: String, expected: &str) -> HttpError {
    let kind = match expected {
        "bool" => "true or false",
        "char" => "one character",
        "f32" | "f64" => "a number",
        _ => "a whole number in range",
    };
    HttpError::invalid(name, format!("must be {kind}"))
}
