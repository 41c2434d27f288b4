//! What failed calls to other services mean for the callers of this one.

use kennel_core::ErrorKind;
use kennel_grpc::CallError;
use kennel_http::HttpError;
use kennel_http::problem::DEFAULT_RETRY_AFTER;

/// The response to a request whose call to another service has failed. The caller sees the values that it has sent and that are
/// invalid, by the names that `parameter` returns for the fields of the call. Otherwise the other service is at fault.
pub fn call_failed(error: CallError, parameter: impl Fn(&str) -> &str) -> HttpError {
    match error.kind() {
        ErrorKind::Invalid => {
            let fields = error.fields();
            let invalid = HttpError::new(ErrorKind::Invalid).with_source(error);
            fields.iter().fold(invalid, |shown, (field, reason)| shown.with_field(parameter(field), reason))
        }
        ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::RateLimited => {
            let after = error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER);
            HttpError::from_error(ErrorKind::Unavailable, error).with_retry_after(after)
        }
        kind @ (ErrorKind::Timeout | ErrorKind::Cancelled) => HttpError::from_error(kind, error),
        _ => HttpError::from_error(ErrorKind::BadUpstream, error),
    }
}
