//! What goes wrong with the body of a request while it is read. Its size is bounded, and silence; not how long a slow line takes.

use std::error::Error;
use std::time::Duration;

use http_body_util::LengthLimitError;
use kennel_core::ErrorKind;

use crate::problem::HttpError;

/// The client sent nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no byte of the body arrived for {0:?}")]
pub struct SilentClient(pub Duration);

/// What to answer when reading a body failed with `error`: 413 where it was over its limit, 408 where the client fell silent,
/// else 400.
pub fn refusal(error: &(dyn Error + 'static)) -> HttpError {
    let mut next = Some(error);
    while let Some(cause) = next {
        // axum's extractor keeps it in a box of its own.
        if cause.is::<LengthLimitError>() || cause.is::<Box<LengthLimitError>>() {
            return HttpError::new(ErrorKind::TooLarge).with_detail("the body is larger than this resource takes");
        }
        if let Some(silent) = cause.downcast_ref::<SilentClient>() {
            return HttpError::new(ErrorKind::ClientTimeout).with_detail(silent.to_string());
        }
        next = cause.source();
    }
    HttpError::new(ErrorKind::Malformed).with_detail("the body could not be read to its end")
}
