//! Maps errors to gRPC statuses.

use dogs_domain::DogError;
use kennel_core::ServiceError as _;
use kennel_grpc::Details;
use tonic::Status;

/// The status of an error of the domain.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
pub(super) fn domain_error(error: DogError) -> Status {
    to_status(&error, "idempotency_key")
}

/// The status of an error of an import.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
pub(super) fn import_error(error: DogError) -> Status {
    to_status(&error, "import_key")
}

/// Maps the error; `key` is the name of the field with the key.
fn to_status(error: &DogError, key: &'static str) -> Status {
    let details = Details { retry_after: error.retry_after(), ..Details::default() };
    let Some((field, reason)) = error.invalid_value(key) else {
        return kennel_grpc::fault(error.kind(), error, details);
    };
    kennel_grpc::status(error.kind(), error.message(key), details.field(field, reason))
}
