//! Maps errors to gRPC statuses.

use std::time::Duration;

use dogs_domain::DogError;
use dogs_domain::ports::SourceError;
use kennel_grpc::Details;
use tonic::Status;

/// The status of an error of the domain.
pub(super) fn domain_error(error: DogError) -> Status {
    to_status(error, "idempotency_key")
}

/// The status of an error of an import.
pub(super) fn import_error(error: DogError) -> Status {
    to_status(error, "import_key")
}

/// Maps the error; the field `Idempotency-Key`, which the domain names as HTTP does, becomes `key`.
fn to_status(error: DogError, key: &'static str) -> Status {
    let name = |field| if field == "Idempotency-Key" { key } else { field };
    let error = match error {
        DogError::Invalid { field, reason } => DogError::Invalid { field: name(field), reason },
        other => other,
    };
    let mut details = Details { retry_after: retry_after(&error), ..Details::default() };
    if let Some(field) = error.field() {
        let reason = match &error {
            DogError::Invalid { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        details = details.field(name(field), reason);
    }
    kennel_grpc::fault(error.kind(), &error, details)
}

fn retry_after(error: &DogError) -> Option<Duration> {
    match error {
        DogError::Source(SourceError::Unavailable { retry_after, .. }) => *retry_after,
        _ => None,
    }
}
