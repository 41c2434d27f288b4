//! Extractors whose rejections are problem details that name the invalid value.

mod header;
mod json;
mod path;
mod query;

pub use header::header_text;
pub use json::Json;
pub use path::Path;
pub use query::Query;

use crate::problem::HttpError;

/// Maximum length of a reason in a response; a parser's text can quote the input.
const MAX_REASON_CHARS: usize = 200;

/// A rejection that names the parameter at which deserialization failed.
fn reject(path: &serde_path_to_error::Path, message: &str) -> HttpError {
    let (field, reason) = kennel_core::json::explain(&path.to_string(), message);
    invalid(field.as_deref().unwrap_or("query"), &reason)
}

fn invalid(field: &str, reason: &str) -> HttpError {
    HttpError::invalid(field, reason.chars().take(MAX_REASON_CHARS).collect::<String>())
}
