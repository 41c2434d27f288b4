//! What failed calls to market-preprocessor mean for our clients.

use kennel_core::ErrorKind;
use kennel_grpc::CallError;
use kennel_http::HttpError;
use kennel_http::problem::DEFAULT_RETRY_AFTER;

/// The response to a request whose call has failed. Invalid values are named by the parameters of our API.
pub(crate) fn failed(error: CallError) -> HttpError {
    match error.kind() {
        ErrorKind::Invalid => {
            let fields = error.fields();
            let invalid = HttpError::new(ErrorKind::Invalid).with_source(error);
            fields.into_iter().fold(invalid, |shown, (field, reason)| {
                shown.with_field(field.strip_suffix("_us").unwrap_or(&field), reason)
            })
        }
        ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::RateLimited => {
            let after = error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER);
            HttpError::from_error(ErrorKind::Unavailable, error).with_retry_after(after)
        }
        kind @ (ErrorKind::Timeout | ErrorKind::Cancelled) => HttpError::from_error(kind, error),
        _ => HttpError::from_error(ErrorKind::BadUpstream, error),
    }
}
