//! Normalisation of paths, once and before anything else looks at them: routes, permissions and upstreams see the same path.

use std::borrow::Cow;

use kennel_core::ErrorKind;
use kennel_http::HttpError;

/// Longer targets are refused.
pub(crate) const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPath {
    #[error("the path does not start with a slash")]
    NotAbsolute,
    #[error("the path leads above its root")]
    AboveRoot,
    #[error("the path has an encoded separator or control character")]
    EncodedSeparator,
    #[error("the path has characters that must be percent-encoded, or a backslash")]
    Forbidden,
    #[error("the path has an invalid percent-encoding")]
    Encoding,
    #[error("a segment of the path is dots with parameters")]
    DotsWithParameters,
}

impl From<InvalidPath> for HttpError {
    fn from(error: InvalidPath) -> Self {
        Self::new(ErrorKind::Malformed).with_detail(error.to_string())
    }
}

/// Returns the path as upstreams get it: dot segments are resolved, also those that were encoded; empty segments are removed;
/// unreserved characters are decoded and the case of encodings is one (RFC 3986, section 6.2.2).
///
/// Refuses what servers interpret differently: encoded slashes and backslashes, control characters, encodings of an encoding
/// of these, and `..;`.
pub(crate) fn normalize(path: &str) -> Result<Cow<'_, str>, InvalidPath> {
    if !path.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    resolve(&decoded).map(Cow::Owned)
}

/// Whether nothing has to be done, which is so for nearly all paths.
fn is_normal(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in path {
        match byte {
            b'/' | b'.' if after_slash => return false,
            b'/' => after_slash = true,
            _ if is_plain(byte) => after_slash = false,
            _ => return false,
        }
    }
    true
}

/// Whether a byte may be in a path as it is (RFC 3986, `pchar`), except for `%` and `;`.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes unreserved characters, and writes other encodings in upper case.
fn decode(path: &[u8]) -> Result<String, InvalidPath> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match *first {
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(InvalidPath::Encoding) };
                let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low);
                let byte = byte.ok_or(InvalidPath::Encoding)?;
                rest = tail;
                if is_unreserved(byte) {
                    decoded.push(char::from(byte));
                } else if matches!(byte, b'/' | b'\\') || byte.is_ascii_control() || (byte == b'%' && is_twice(rest)) {
                    return Err(InvalidPath::EncodedSeparator);
                } else {
                    decoded.push('%');
                    decoded.push(char::from(high.to_ascii_uppercase()));
                    decoded.push(char::from(low.to_ascii_uppercase()));
                }
            }
            byte if is_plain(byte) || matches!(byte, b'/' | b';') => decoded.push(char::from(byte)),
            _ => return Err(InvalidPath::Forbidden),
        }
    }
    Ok(decoded)
}

/// Whether what follows an encoded `%` would be a dot or a separator for a server that decodes twice.
fn is_twice(rest: &[u8]) -> bool {
    let [high, low, ..] = rest else { return false };
    let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low);
    byte.is_some_and(|byte| matches!(byte, b'.' | b'/' | b'\\') || byte.is_ascii_control())
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Resolves dot segments and removes empty ones (RFC 3986, section 5.2.4).
fn resolve(path: &str) -> Result<String, InvalidPath> {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_with_slash = false;
    for segment in path.split('/').skip(1) {
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(InvalidPath::AboveRoot)?;
            }
            _ if matches!(segment.split(';').next(), Some("." | "..")) => return Err(InvalidPath::DotsWithParameters),
            _ => segments.push(segment),
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in &segments {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if ends_with_slash || segments.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/api/v1/candles", "/api/v1/candles"),
            ("/api/v1/candles/", "/api/v1/candles/"),
            ("/a.b/c..d/...", "/a.b/c..d/..."),
            ("/.well-known/jwks.json", "/.well-known/jwks.json"),
            ("//api///v1//candles", "/api/v1/candles"),
            ("/api/./v1/../v1/candles", "/api/v1/candles"),
            ("/api/%2e%2E/admin", "/admin"),
            ("/api/.%2e/admin", "/admin"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%61pi/%7euser", "/api/~user"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/100%25", "/100%25"),
            ("/a%2541", "/a%2541"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/%3fx", "/%3Fx"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(expected), "{path}");
            assert_eq!(normalize(expected).as_deref(), Ok(expected), "normal already: {expected}");
        }
    }

    #[test]
    fn what_servers_interpret_differently_is_refused() {
        for (path, expected) in [
            ("", InvalidPath::NotAbsolute),
            ("*", InvalidPath::NotAbsolute),
            ("/..", InvalidPath::AboveRoot),
            ("/a/../../b", InvalidPath::AboveRoot),
            ("/%2e%2e/etc", InvalidPath::AboveRoot),
            ("/a%2fb", InvalidPath::EncodedSeparator),
            ("/a%2F..%2Fb", InvalidPath::EncodedSeparator),
            ("/a%5cb", InvalidPath::EncodedSeparator),
            ("/a%00", InvalidPath::EncodedSeparator),
            ("/a%0d%0ab", InvalidPath::EncodedSeparator),
            ("/a%7f", InvalidPath::EncodedSeparator),
            ("/%252e%252e/admin", InvalidPath::EncodedSeparator),
            ("/a%252fb", InvalidPath::EncodedSeparator),
            ("/a\\b", InvalidPath::Forbidden),
            ("/a b", InvalidPath::Forbidden),
            ("/a\u{e9}", InvalidPath::Forbidden),
            ("/a\"", InvalidPath::Forbidden),
            ("/a%", InvalidPath::Encoding),
            ("/a%2", InvalidPath::Encoding),
            ("/a%zz", InvalidPath::Encoding),
            ("/a/..;/b", InvalidPath::DotsWithParameters),
            ("/a/%2e%2e;x/b", InvalidPath::DotsWithParameters),
        ] {
            assert_eq!(normalize(path), Err(expected), "{path}");
        }
    }
}
