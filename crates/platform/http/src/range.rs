//! Range requests: one range of bytes (RFC 9110, section 14).

use std::ops::Range;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};
use utoipa::IntoParams;

use crate::etag::ETag;
use crate::extract::header_text;
use crate::problem::HttpError;

/// The headers `Range` and `If-Range`. Both are ignored for other methods than GET.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RangeHeaders {
    /// One range of bytes. Multiple ranges and other units are ignored.
    #[param(rename = "Range", nullable = false, pattern = r"^[\t -~]*$", example = "bytes=0-1023")]
    range: Option<String>,
    /// The entity tag that `Range` applies to.
    #[param(rename = "If-Range", nullable = false, pattern = r"^[\t -~]*$")]
    if_range: Option<String>,
}

/// The requested range of some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeRequest {
    /// The full content: the header is missing, or a kind that may be ignored.
    Full,
    /// This range of bytes; not empty.
    Partial(Range<u64>),
    /// A range that does not exist.
    Unsatisfiable,
}

impl<S: Sync> FromRequestParts<S> for RangeHeaders {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        // Ranges are only defined for GET (RFC 9110, section 14.2).
        if parts.method != Method::GET {
            return Ok(Self::default());
        }
        let text = |name| header_text(&parts.headers, name).map(|text| text.map(str::to_owned));
        Ok(Self { range: text(&RANGE)?, if_range: text(&IF_RANGE)? })
    }
}

impl RangeHeaders {
    /// The range of content of `size` bytes whose entity tag is `tag`. All of it if `If-Range` names another version.
    pub fn resolve(&self, tag: &ETag, size: u64) -> RangeRequest {
        let same_version = self.if_range.as_ref().is_none_or(|given| *given == tag.to_string());
        parse(self.range.as_deref().filter(|_| same_version), size)
    }
}

/// The response with a range of content of `size` bytes: 206 with `Content-Range`.
pub fn partial(range: &Range<u64>, size: u64, content: impl IntoResponse) -> Response {
    let last = range.end.saturating_sub(1);
    let shown = format!("bytes {}-{last}/{size}", range.start);
    (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, shown)], content).into_response()
}

/// The response to a range that content of `size` bytes does not have: 416. The outermost layer adds a problem to it.
pub fn unsatisfiable(size: u64) -> Response {
    (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
}

fn parse(header: Option<&str>, size: u64) -> RangeRequest {
    let Some((first, last)) = header.and_then(|text| text.trim().strip_prefix("bytes=")).and_then(bounds) else {
        return RangeRequest::Full;
    };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return RangeRequest::Full,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) => first..size,
        (None, Some(suffix)) => size.saturating_sub(suffix)..size,
        (None, None) => return RangeRequest::Full,
    };
    if range.is_empty() { RangeRequest::Unsatisfiable } else { RangeRequest::Partial(range) }
}

fn bounds(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = text.split_once('-')?;
    Some((bound(first)?, bound(last)?))
}

#[expect(clippy::option_option, reason = "an invalid, an open and a given bound are different")]
fn bound(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok().map(Some))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_limited_to_the_size() {
        assert_eq!(parse(Some("bytes=0-0"), 10), RangeRequest::Partial(0..1));
        assert_eq!(parse(Some("bytes=2-"), 10), RangeRequest::Partial(2..10));
        assert_eq!(parse(Some("bytes=2-99"), 10), RangeRequest::Partial(2..10));
        assert_eq!(parse(Some("bytes=-3"), 10), RangeRequest::Partial(7..10));
        assert_eq!(parse(Some("bytes=-99"), 10), RangeRequest::Partial(0..10));
        assert_eq!(parse(Some("bytes=9-18446744073709551615"), 10), RangeRequest::Partial(9..10));
    }

    #[test]
    fn ranges_that_do_not_exist_are_unsatisfiable() {
        for none in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(parse(Some(none), 10), RangeRequest::Unsatisfiable, "{none}");
        }
        assert_eq!(parse(Some("bytes=0-"), 0), RangeRequest::Unsatisfiable);
    }

    #[test]
    fn other_headers_are_ignored() {
        let ignored = ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=+1-2"];
        for header in ignored {
            assert_eq!(parse(Some(header), 10), RangeRequest::Full, "{header}");
        }
        assert_eq!(parse(None, 10), RangeRequest::Full);
    }

    #[test]
    fn a_range_of_another_version_is_ignored() {
        let headers = |tag: &str| RangeHeaders { range: Some("bytes=1-2".into()), if_range: Some(tag.into()) };
        let current = ETag::strong("a").unwrap();
        assert_eq!(headers("\"a\"").resolve(&current, 10), RangeRequest::Partial(1..3));
        assert_eq!(headers("\"b\"").resolve(&current, 10), RangeRequest::Full);
    }
}
