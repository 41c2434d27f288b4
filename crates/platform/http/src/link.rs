//! The `Link` header of RFC 8288.

use std::convert::Infallible;

use axum::response::{IntoResponseParts, ResponseParts};
use http::HeaderValue;
use http::header::LINK;

/// URLs of related resources, such as the next page. In a response it is the `Link` header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkHeader(Vec<(String, &'static str)>);

impl LinkHeader {
    /// Without links; the response then has no `Link` header.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a link with the relation `rel` to `target`, a URL or a path.
    #[must_use]
    pub fn with(mut self, rel: &'static str, target: impl Into<String>) -> Self {
        self.0.push((target.into(), rel));
        self
    }

    fn header_value(&self) -> Option<HeaderValue> {
        let links: Vec<_> = self.0.iter().map(|(target, rel)| format!("<{}>; rel=\"{rel}\"", escape(target))).collect();
        (!links.is_empty()).then(|| HeaderValue::from_str(&links.join(", ")).ok())?
    }
}

impl IntoResponseParts for LinkHeader {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Some(value) = self.header_value() {
            parts.headers_mut().insert(LINK, value);
        }
        Ok(parts)
    }
}

/// Percent-encodes characters that would end the target early or are not ASCII.
fn escape(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"<>\"".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', hex(byte >> 4), hex(byte & 0xf)]);
        }
    }
    text
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_one_header() {
        let links = LinkHeader::new().with("next", "/dogs?after=a&limit=2").with("first", "/dogs");
        let value = links.header_value().unwrap();
        assert_eq!(value, r#"</dogs?after=a&limit=2>; rel="next", </dogs>; rel="first""#);
        assert_eq!(LinkHeader::new().header_value(), None);
    }

    #[test]
    fn a_target_cannot_end_its_link() {
        let value = LinkHeader::new().with("next", "/a>; rel=\"evil\" \r\n\u{fc}").header_value().unwrap();
        assert_eq!(value, "</a%3E;%20rel=%22evil%22%20%0D%0A%C3%BC>; rel=\"next\"");
    }
}
