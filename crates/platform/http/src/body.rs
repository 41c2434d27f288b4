//! Errors while a request's body is read. Its size and its idle time are limited; the total time is not, because a slow
//! connection may be slow.

use std::error::Error;
use std::time::Duration;

use http_body_util::LengthLimitError;
use kennel_core::ErrorKind;

use crate::problem::HttpError;

/// The client sent nothing for longer than the idle timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no byte of the body arrived for {0:?}")]
pub struct BodyIdleTimeout(pub Duration);

/// Maps an error of reading a body: 413 if the body is over its limit, 408 after an idle timeout, otherwise 400.
pub fn classify(error: &(dyn Error + 'static)) -> HttpError {
    let mut next = Some(error);
    while let Some(cause) = next {
        // axum's extractor wraps it in another box.
        if cause.is::<LengthLimitError>() || cause.is::<Box<LengthLimitError>>() {
            return HttpError::new(ErrorKind::TooLarge).with_detail("the body is larger than this resource takes");
        }
        if let Some(timeout) = cause.downcast_ref::<BodyIdleTimeout>() {
            return HttpError::new(ErrorKind::ClientTimeout).with_detail(timeout.to_string());
        }
        next = cause.source();
    }
    HttpError::new(ErrorKind::Malformed).with_detail("the body could not be read to its end")
}
