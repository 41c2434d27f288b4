//! What failed calls to market-preprocessor mean for our clients.

use kennel_core::ErrorKind;
use kennel_grpc::{CallError, Details, fault};
use kennel_http::HttpError;
use kennel_service::call_failed;
use tonic::{Code, Status};

/// The status of a call that has failed, for our caller: what is wrong with our own credentials is not for them.
pub(crate) fn of_upstream(status: Status) -> Status {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => fault(ErrorKind::BadUpstream, &status, Details::default()),
        _ => status,
    }
}

/// The response to a request whose call has failed. Invalid values are named by the parameters of our API.
pub(crate) fn failed(error: CallError) -> HttpError {
    call_failed(error, |field| field.strip_suffix("_us").unwrap_or(field))
}
