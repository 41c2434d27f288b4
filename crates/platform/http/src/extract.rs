//! Input of handlers, with problems in place of plain-text rejections that name the value at fault.

mod json;
mod path;
mod query;

pub use json::Json;
pub use path::Path;
pub use query::Query;

use crate::problem::HttpError;

/// The longest reason that is passed on; a parser's own text can quote the input.
const MAX_REASON_CHARS: usize = 200;

/// A refusal that names the parameter which a deserializer stopped at.
fn refuse(path: &serde_path_to_error::Path, message: &str) -> HttpError {
    let (field, reason) = kennel_core::json::explain(&path.to_string(), message);
    invalid(field.as_deref().unwrap_or("query"), &reason)
}

fn invalid(field: &str, reason: &str) -> HttpError {
    HttpError::invalid(field, reason.chars().take(MAX_REASON_CHARS).collect::<String>())
}
