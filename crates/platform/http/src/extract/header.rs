//! Headers of text.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::HttpError;

/// The value of a text header; `None` if it is absent. Rejects one that is not visible ASCII with 422 and its name.
pub fn header_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, HttpError> {
    let text = headers.get(name).map(HeaderValue::to_str).transpose();
    text.map_err(|_| HttpError::invalid(name.as_str(), "must be visible ASCII characters"))
}
