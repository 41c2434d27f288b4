//! Parses the header `Range` (RFC 9110, section 14).

use std::ops::Range;

/// The parsed header `Range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RangeRequest {
    /// The full content: the header is missing, or a kind that may be ignored.
    Full,
    /// This range.
    Partial(Range<u64>),
    /// A range that does not exist.
    Unsatisfiable,
}

/// Parses `header` for an object of `size` bytes. Multiple ranges and other units are ignored.
pub(super) fn parse_range(header: Option<&str>, size: u64) -> RangeRequest {
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
        assert_eq!(parse_range(Some("bytes=0-0"), 10), RangeRequest::Partial(0..1));
        assert_eq!(parse_range(Some("bytes=2-"), 10), RangeRequest::Partial(2..10));
        assert_eq!(parse_range(Some("bytes=2-99"), 10), RangeRequest::Partial(2..10));
        assert_eq!(parse_range(Some("bytes=-3"), 10), RangeRequest::Partial(7..10));
        assert_eq!(parse_range(Some("bytes=-99"), 10), RangeRequest::Partial(0..10));
        assert_eq!(parse_range(Some("bytes=9-18446744073709551615"), 10), RangeRequest::Partial(9..10));
    }

    #[test]
    fn ranges_that_do_not_exist_are_unsatisfiable() {
        for none in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(parse_range(Some(none), 10), RangeRequest::Unsatisfiable, "{none}");
        }
        assert_eq!(parse_range(Some("bytes=0-"), 0), RangeRequest::Unsatisfiable);
    }

    #[test]
    fn other_headers_are_ignored() {
        let ignored = ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=+1-2"];
        for header in ignored {
            assert_eq!(parse_range(Some(header), 10), RangeRequest::Full, "{header}");
        }
        assert_eq!(parse_range(None, 10), RangeRequest::Full);
    }
}
