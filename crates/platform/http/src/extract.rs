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

/// A refusal that names the field which a deserializer stumbled over.
fn refuse(path: &serde_path_to_error::Path, message: &str) -> HttpError {
    let message = message.split(" at line ").next().unwrap_or(message);
    let parent = path.to_string();
    let parent = if parent == "." { "" } else { parent.as_str() };
    let field = match quoted(message, "missing field `") {
        Some(name) if parent.is_empty() => name.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None if parent.is_empty() => top_level(message).unwrap_or("body").to_owned(),
        None => parent.to_owned(),
    };
    HttpError::invalid(field, message.chars().take(MAX_REASON_CHARS).collect::<String>())
}

fn top_level(message: &str) -> Option<&str> {
    quoted(message, "unknown field `").or_else(|| quoted(message, "duplicate field `"))
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}
