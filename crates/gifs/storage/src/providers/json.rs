//! Reads the JSON of providers, whose types vary: numbers may be text, and anything may be missing.
//!
//! Documents are read value by value. An error of a typed parser would quote the value, and providers echo keys.

use gifs_domain::catalogue::{Format, Rendition, RenditionKind};
use serde_json::Value;
use url::Url;

/// The text at `pointer`, if it is text or a number and not blank.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = match value.pointer(pointer)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// The number at `pointer`, which may be text. Zero counts as missing: it is no size of anything.
pub(super) fn number<T: TryFrom<u64> + PartialEq + Default>(value: &Value, pointer: &str) -> Option<T> {
    let number = match value.pointer(pointer)? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    T::try_from(number).ok().filter(|number| *number != T::default())
}

/// The URL at `pointer`.
pub(super) fn url(value: &Value, pointer: &str) -> Option<Url> {
    text(value, pointer)?.parse().ok()
}

/// The items at `pointer`; none if there is no list.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Tags, which are texts or objects with a text.
pub(super) fn tags(item: &Value) -> Vec<String> {
    items(item, "/tags").iter().filter_map(|tag| text(tag, "").or_else(|| text(tag, "/text"))).collect()
}

/// The file that `value` describes, if it has a URL: `url`, `width`, `height` and `size` under `prefix`.
pub(super) fn rendition(
    value: &Value,
    url_at: &str,
    size_at: &str,
    kind: RenditionKind,
    format: Format,
) -> Option<Rendition> {
    Some(Rendition {
        kind,
        format,
        url: url(value, url_at)?,
        width: number(value, "/width"),
        height: number(value, "/height"),
        size: number(value, size_at),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_be_text_and_anything_may_be_missing() {
        let value =
            json!({ "a": "480", "b": 480, "c": "wide", "d": null, "e": -1, "f": "", "g": 0, "h": 4_294_967_296_u64 });
        let read: Vec<Option<u32>> =
            ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i"].map(|at| number(&value, at)).into();
        assert_eq!(read, [Some(480), Some(480), None, None, None, None, None, None, None]);
        assert_eq!(number::<u64>(&value, "/h"), Some(4_294_967_296));
    }

    #[test]
    fn texts_may_be_numbers_and_tags_may_be_objects() {
        let value = json!({ "id": 7, "blank": " ", "tags": ["a", { "text": "b" }, { "name": "c" }, null, 5] });
        assert_eq!((text(&value, "/id").as_deref(), text(&value, "/blank")), (Some("7"), None));
        assert_eq!(tags(&value), ["a", "b", "5"]);
        assert_eq!(tags(&json!({ "tags": "a,b" })), Vec::<String>::new());
    }
}
