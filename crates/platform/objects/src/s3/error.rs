//! What the client reports, sorted.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use kennel_core::objects::ObjectError;

/// Sorts by whether waiting may help.
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

/// The HTTP status of the answer, when one came.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether the answer is that there is no such object.
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// Whether a put that was to keep what exists found something, or met another put.
pub(super) fn is_taken<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(status(error), Some(409 | 412))
}
