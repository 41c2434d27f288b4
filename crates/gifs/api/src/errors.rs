//! What failed calls to the other services mean for our clients.

use kennel_core::ErrorKind;
use kennel_grpc::CallError;
use kennel_http::HttpError;
use kennel_service::call_failed;

use crate::searches::NoAnswer;

/// The response to a request for GIFs that has no answer.
pub(crate) fn unanswered(reason: NoAnswer) -> HttpError {
    match reason {
        NoAnswer::Call(error) => failed(error),
        NoAnswer::Outage { retry_after } => {
            HttpError::from_error(ErrorKind::Unavailable, "no provider of gifs answers").with_retry_after(retry_after)
        }
    }
}

/// The response to a request whose call has failed. Invalid values are named by the parameters of our API.
pub(crate) fn failed(error: CallError) -> HttpError {
    match error.kind() {
        ErrorKind::NotFound => HttpError::new(ErrorKind::NotFound).with_detail("there is no such gif"),
        _ => call_failed(error, parameter),
    }
}

/// The parameter of our API that becomes this field of a call.
fn parameter(field: &str) -> &str {
    match field {
        "page_token" => "cursor",
        "query" => "q",
        "language" => "lang",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::response::IntoResponse as _;
    use kennel_grpc::{Details, status};

    use super::*;

    fn shown(kind: ErrorKind, details: Details) -> HttpError {
        failed(status(kind, "secret", details).into())
    }

    #[test]
    fn kinds_of_the_other_service_become_ours() {
        for (kind, expected) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Invalid, 422),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Overloaded, 503),
            (ErrorKind::Timeout, 504),
            (ErrorKind::Internal, 502),
            (ErrorKind::PermissionDenied, 502),
        ] {
            let error = shown(kind, Details::default());
            assert!(!error.to_string().contains("secret"), "{error}");
            assert_eq!(error.into_response().status().as_u16(), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_value_and_a_delay_are_passed_on() {
        let error = shown(ErrorKind::Invalid, Details::default().field("page_token", "must be from an earlier page"));
        assert_eq!(error.to_string(), "cursor: must be from an earlier page");
        let retry = Details::default().retry_after(Duration::from_secs(42));
        assert_eq!(shown(ErrorKind::Unavailable, retry).into_response().headers()["retry-after"], "42");
    }
}
