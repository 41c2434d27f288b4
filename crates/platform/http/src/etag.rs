//! Entity tags and the preconditions that use them; see RFC 9110, sections 8.8.3 and 13.1.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::ErrorKind;

use crate::problem::HttpError;

/// Maximum number of tags in a precondition.
pub(crate) const MAX_TAGS: usize = 64;

/// Identifies one version of a resource. In a response it is the `ETag` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    weak: bool,
    tag: String,
}

/// The text contains a character that an entity tag cannot contain.
#[derive(Debug, thiserror::Error)]
#[error("not the text of an entity tag")]
pub struct InvalidETag;

impl From<InvalidETag> for HttpError {
    fn from(error: InvalidETag) -> Self {
        Self::from_error(ErrorKind::Internal, error)
    }
}

impl ETag {
    /// A tag that changes with every byte of the representation.
    pub fn strong(tag: impl Into<String>) -> Result<Self, InvalidETag> {
        Self::new(false, tag.into())
    }

    /// A tag that changes with the meaning of the representation.
    pub fn weak(tag: impl Into<String>) -> Result<Self, InvalidETag> {
        Self::new(true, tag.into())
    }

    fn new(weak: bool, tag: String) -> Result<Self, InvalidETag> {
        let allowed = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80;
        if tag.bytes().all(allowed) { Ok(Self { weak, tag }) } else { Err(InvalidETag) }
    }

    /// The text between the quotes.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.tag)
    }
}

impl IntoResponseParts for ETag {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            parts.headers_mut().insert(ETAG, value);
        }
        Ok(parts)
    }
}

/// The value of a precondition header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any current version.
    Any,
    /// One of these.
    Listed(Vec<ETag>),
}

impl EntityTags {
    /// Strong comparison with `current`, for `If-Match`: weak tags never match.
    pub fn match_strongly(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => !current.weak && tags.iter().any(|tag| !tag.weak && tag.tag == current.tag),
        }
    }

    /// Weak comparison with `current`, for `If-None-Match`.
    pub fn match_weakly(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.tag == current.tag),
        }
    }

    /// Reads the header `name`, which may have several lines. Returns `None` if it is absent.
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, HttpError> {
        let mut lines = headers.get_all(name).iter().peekable();
        if lines.peek().is_none() {
            return Ok(None);
        }
        let unreadable =
            || HttpError::new(ErrorKind::Malformed).with_detail(format!("{name} is not a list of entity tags"));
        let texts: Option<Vec<_>> = lines.map(|line| line.to_str().ok()).collect();
        let text = texts.ok_or_else(unreadable)?.join(",");
        parse(&text).map(Some).ok_or_else(unreadable)
    }
}

fn parse(text: &str) -> Option<EntityTags> {
    if text.trim() == "*" {
        return Some(EntityTags::Any);
    }
    let (mut tags, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (tag, after) = first(rest)?;
        tags.push(tag);
        rest = after.trim_start_matches([' ', '\t']);
        if tags.len() > MAX_TAGS || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
    }
    (!tags.is_empty()).then_some(EntityTags::Listed(tags))
}

/// The tag at the start of `text`, and the text after it.
fn first(text: &str) -> Option<(ETag, &str)> {
    let (weak, quoted) = text.strip_prefix("W/").map_or((false, text), |quoted| (true, quoted));
    let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
    Some((ETag::new(weak, tag.to_owned()).ok()?, after))
}

/// The `If-Match` header. A malformed header is rejected with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(pub Option<EntityTags>);

/// The `If-None-Match` header. A malformed header is rejected with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(pub Option<EntityTags>);

impl IfMatch {
    /// The revisions that a change is allowed of; `None` if the header allows any. `revision` reads the revision in the
    /// text of a tag; a tag without one allows nothing.
    ///
    /// A weak tag counts as the strong one: proxies that compress weaken every tag (nginx does). RFC 9110, section 13.1.1,
    /// requires the strong comparison because a weak tag can be equal before and after a change; a tag with the revision
    /// cannot.
    pub fn revisions<R>(&self, revision: impl Fn(&str) -> Option<R>) -> Option<Vec<R>> {
        match &self.0 {
            None | Some(EntityTags::Any) => None,
            Some(EntityTags::Listed(tags)) => Some(tags.iter().filter_map(|tag| revision(tag.tag())).collect()),
        }
    }
}

impl IfNoneMatch {
    /// Whether the caller has the version `current`, so that the response is 304.
    pub fn matches(&self, current: &ETag) -> bool {
        self.0.as_ref().is_some_and(|tags| tags.match_weakly(current))
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        EntityTags::read(&parts.headers, &IF_MATCH).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        EntityTags::read(&parts.headers, &IF_NONE_MATCH).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(tags: &[(bool, &str)]) -> EntityTags {
        let tags = tags.iter().map(|(weak, tag)| ETag::new(*weak, (*tag).to_owned()).unwrap());
        EntityTags::Listed(tags.collect())
    }

    #[test]
    fn lists_are_read() {
        for (text, expected) in [
            ("*", EntityTags::Any),
            (" * ", EntityTags::Any),
            (r#""1""#, listed(&[(false, "1")])),
            (r#"W/"1""#, listed(&[(true, "1")])),
            (r#""1", W/"a,b" ,"""#, listed(&[(false, "1"), (true, "a,b"), (false, "")])),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_lists_are_rejected() {
        let long = r#""1","#.repeat(MAX_TAGS + 1);
        for bad in ["", "1", "\"1", "\"1\" \"2\"", "w/\"1\"", "*, \"1\"", "\"a b\"", ",", &long] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_of_one_header_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(EntityTags::read(&headers, &IF_MATCH).unwrap(), None);
        headers.append(IF_MATCH, "\"1\"".parse().unwrap());
        headers.append(IF_MATCH, "\"2\"".parse().unwrap());
        let tags = EntityTags::read(&headers, &IF_MATCH).unwrap();
        assert_eq!(tags, Some(listed(&[(false, "1"), (false, "2")])));
    }

    #[test]
    fn if_match_names_revisions() {
        let revisions = |tags| IfMatch(tags).revisions(|text| text.parse::<u8>().ok());
        assert_eq!((revisions(None), revisions(Some(EntityTags::Any))), (None, None));
        assert_eq!(revisions(Some(listed(&[(false, "3"), (true, "4"), (false, "x")]))), Some(vec![3, 4]));
        assert_eq!(revisions(Some(listed(&[(false, "999")]))), Some(Vec::new()));
    }

    #[test]
    fn weak_tags_match_only_weakly() {
        let (strong, weak) = (ETag::strong("1").unwrap(), ETag::weak("1").unwrap());
        assert!(listed(&[(false, "1")]).match_strongly(&strong));
        assert!(!listed(&[(true, "1")]).match_strongly(&strong));
        assert!(!listed(&[(false, "1")]).match_strongly(&weak));
        assert!(listed(&[(true, "1")]).match_weakly(&strong));
        assert!(!listed(&[(false, "2")]).match_weakly(&strong));
        assert!(EntityTags::Any.match_strongly(&strong));
        assert!(ETag::strong("a\"b").is_err());
    }
}
