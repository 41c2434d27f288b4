//! Parses JSON objects from untrusted input and reports errors in terms of the JSON, not of Rust.
//!
//! Serde accepts an array in place of a struct, in field order, and names Rust types in its messages. Neither should be
//! part of an API, so all input from outside the process is parsed with [`read_object`].

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

/// Why the input is not the expected object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The input is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// The input is JSON but not an object.
    #[error("must be an object")]
    NotAnObject,
    /// A field is invalid, missing or unknown.
    #[error("{reason}")]
    Value {
        /// Path of the invalid field, such as `tags[1].weight`; `None` when it cannot be determined.
        field: Option<String>,
        /// Why the field is invalid.
        reason: String,
    },
}

/// Parses exactly one JSON object. Ignores white space around it and a byte order mark before it.
pub fn read_object<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, JsonError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => JsonError::NotAnObject,
            Err(error) => JsonError::Syntax(error.to_string()),
        });
    }
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Data => value_error::<T>(text, &error),
        Category::Syntax | Category::Eof | Category::Io => JsonError::Syntax(error.to_string()),
    })
}

/// Parses the input again to find the path: errors are rare, so valid input does not pay for it.
fn value_error<'de, T: Deserialize<'de>>(text: &'de [u8], error: &serde_json::Error) -> JsonError {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let mut again = serde_json::Deserializer::from_slice(text);
    let path = serde_path_to_error::deserialize::<_, T>(&mut again).err().map(|error| error.path().to_string());
    let (field, reason) = explain(path.as_deref().unwrap_or_default(), message);
    JsonError::Value { field, reason }
}

/// Returns the field at which a deserializer failed, and its message without the names of Rust types.
pub fn explain(path: &str, message: &str) -> (Option<String>, String) {
    let parent = if path == "." { "" } else { path };
    let field = match quoted(message, "missing field `") {
        Some(name) if parent.is_empty() => Some(name.to_owned()),
        Some(name) => Some(format!("{parent}.{name}")),
        None if parent.is_empty() => {
            quoted(message, "unknown field `").or_else(|| quoted(message, "duplicate field `")).map(str::to_owned)
        }
        None => Some(parent.to_owned()),
    };
    (field, plain(message))
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

/// Serde's prefixes before the name of a Rust type, and what to write instead of both.
const SHAPES: [(&str, &str); 7] = [
    ("struct variant ", "an object"),
    ("tuple struct ", "an array"),
    ("unit struct ", "null"),
    ("struct ", "an object"),
    ("internally tagged enum ", "an object"),
    ("adjacently tagged enum ", "an object"),
    ("enum ", "a string"),
];

fn plain(message: &str) -> String {
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let shape = SHAPES.iter().find(|(name, _)| expected.starts_with(name));
    shape.map_or_else(|| message.to_owned(), |(_, plain)| format!("{before}expected {plain}"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parcel<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(default)]
        tags: Vec<Tag>,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Tag {
        weight: u8,
    }

    fn parse_error(text: &str) -> JsonError {
        read_object::<Parcel<'_>>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn white_space_and_byte_order_mark_around_an_object_are_ignored() {
        let expected = Parcel { name: "a".into(), tags: vec![Tag { weight: 1 }] };
        for text in [r#"{"name":"a","tags":[{"weight":1}]}"#, "\u{feff} {\"name\":\"a\",\"tags\":[{\"weight\":1}]}\r\n"]
        {
            assert_eq!(read_object::<Parcel<'_>>(text.as_bytes()).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn anything_but_an_object_is_rejected_even_if_serde_accepts_it() {
        for text in [r#"["a",[]]"#, "[]", r#""a""#, "null", "7", " true "] {
            assert_eq!(parse_error(text), JsonError::NotAnObject, "{text}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_a_syntax_error() {
        for text in ["", " ", "{", "a", r#"{"name":"a"} x"#, r#"{"name":"a",}"#, "[1", "\u{0}", "\u{feff}"] {
            assert!(matches!(parse_error(text), JsonError::Syntax(_)), "{text}: {:?}", parse_error(text));
        }
    }

    #[test]
    fn errors_name_the_invalid_field_and_no_rust_type() {
        for (text, field) in [
            ("{}", "name"),
            (r#"{"name":1}"#, "name"),
            (r#"{"name":"a","age":3}"#, "age"),
            (r#"{"name":"a","tags":[{"weight":1},{"weight":999}]}"#, "tags[1].weight"),
            (r#"{"name":"a","tags":[{}]}"#, "tags[0].weight"),
            (r#"{"name":"a","tags":["b"]}"#, "tags[0]"),
        ] {
            let JsonError::Value { field: found, reason } = parse_error(text) else { panic!("{text}") };
            assert_eq!(found.as_deref(), Some(field), "{text}");
            assert!(!reason.contains("Tag") && !reason.contains("Parcel") && !reason.contains(" at line "), "{reason}");
        }
        let shown = parse_error(r#"{"name":"a","tags":["b"]}"#).to_string();
        assert_eq!(shown, r#"invalid type: string "b", expected an object"#);
    }
}
