//! The id of a request, in headers, logs and errors.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::IdSource;

/// Header with the id, in requests and responses; for gRPC it is the metadata key.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_CHARS: usize = 64;

/// Id of the current request: the caller's id if it is valid, otherwise a generated one. Clones share its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id, if it is 1 to 64 letters, digits, `-`, `_` or `.`; otherwise a new one from `ids`.
    pub fn of(headers: &HeaderMap, ids: &dyn IdSource) -> Self {
        let sent = headers.get(HEADER).filter(|value| is_valid(value.as_bytes()));
        Self(sent.cloned().unwrap_or_else(|| new_id(ids)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Sets the header to the id.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0.clone());
    }
}

fn new_id(ids: &dyn IdSource) -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    let text = ids.next().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_CHARS).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests {
    use kennel_core::UuidV7;

    use super::*;

    fn of(sent: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(sent).unwrap());
        RequestId::of(&headers, &UuidV7)
    }

    #[test]
    fn a_valid_id_is_accepted_and_others_are_replaced() {
        let id = of(b"abc-1_2.Z");
        assert_eq!(id.as_str(), "abc-1_2.Z");
        let long = [b'a'; MAX_CHARS + 1];
        for bad in [&b""[..], b"a b", b"<script>", b"\xff", &long] {
            assert_eq!(of(bad).as_str().len(), 36, "{bad:?}");
        }
        let none = HeaderMap::new();
        assert_ne!(RequestId::of(&none, &UuidV7), RequestId::of(&none, &UuidV7));
        let mut headers = HeaderMap::new();
        id.insert_into(&mut headers);
        assert_eq!(headers[HEADER], "abc-1_2.Z");
    }
}
