//! Classification of the client's errors.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use kennel_core::objects::ObjectError;

/// Converts an error, by whether a retry may succeed.
pub(super) fn classify<E>(error: SdkError<E, HttpResponse>) -> ObjectError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let unavailable = match &error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => !failure.is_user(),
        SdkError::ServiceError(_) => {
            matches!(status(&error), Some(408 | 429 | 500..)) || error.code() == Some("RequestTimeout")
        }
        _ => false,
    };
    if unavailable { ObjectError::Unavailable(error.into()) } else { ObjectError::Backend(error.into()) }
}

/// Returns the HTTP status of the response, if there is one.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Returns whether the error means that the object does not exist.
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// Returns whether a conditional put found an existing object or a concurrent put.
pub(super) fn is_conflict<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(status(error), Some(409 | 412))
}
