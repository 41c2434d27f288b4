//! The id of a request, in headers, logs and errors.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::IdSource;

/// Header with the id, in requests and responses; for gRPC it is the metadata key.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_CHARS: usize = 64;

/// Id of the current request: the caller's id if it is valid, otherwise a generated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's id, if it is 1 to 64 letters, digits, `-`, `_` or `.`; otherwise a new one from `ids`.
    pub fn of(headers: &HeaderMap, ids: &dyn IdSource) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
        sent.filter(|id| is_valid(id)).map_or_else(|| Self(ids.next().to_string().into()), |id| Self(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sets the header to the id.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_valid(id: &str) -> bool {
    (1..=MAX_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
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
