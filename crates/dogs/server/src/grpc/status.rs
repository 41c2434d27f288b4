//! How refusals leave as gRPC statuses.

use std::fmt::Display;
use std::time::Duration;

use dogs_domain::DogError;
use dogs_domain::ports::SourceError;
use kennel_core::ErrorKind;
use kennel_grpc::Details;
use tonic::Status;

/// The status of a refusal by the domain.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(super) fn refusal(error: DogError) -> Status {
    let mut details = Details { retry_after: retry_after(&error), ..Details::default() };
    if let Some(field) = error.field() {
        let reason = match &error {
            DogError::Invalid { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        details = details.field(field_name(field), reason);
    }
    kennel_grpc::fault(error.kind(), &error, details)
}

/// The status of a value that is not allowed.
pub(super) fn invalid(field: &'static str, reason: &dyn Display) -> Status {
    let details = Details::default().field(field, reason.to_string());
    kennel_grpc::status(ErrorKind::Invalid, format!("{field}: {reason}"), details)
}

/// The domain names keys as HTTP does.
fn field_name(field: &'static str) -> &'static str {
    if field == "Idempotency-Key" { "idempotency_key" } else { field }
}

fn retry_after(error: &DogError) -> Option<Duration> {
    match error {
        DogError::Source(SourceError::Unavailable { retry_after, .. }) => *retry_after,
        _ => None,
    }
}
