//! Patterns of paths.

use std::cmp::Ordering;
use std::fmt;

/// A path with variable segments, `/users/{id}`, and perhaps a variable end, `/assets/*`, of at least one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    segments: Vec<Segment>,
    /// Whether more may follow.
    is_prefix: bool,
    /// Whether no segment is variable and nothing may follow: the path is the text.
    is_literal: bool,
}

#[derive(Debug, Clone)]
enum Segment {
    Literal(String),
    Variable,
}

/// The names of variables have no meaning.
impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(one), Self::Literal(other)) => one == other,
            (Self::Variable, Self::Variable) => true,
            _ => false,
        }
    }
}

impl Eq for Segment {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// `None` for what is not a pattern; its literal segments must be normal.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (path, is_prefix) = match text.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (text.strip_suffix('/').filter(|_| text == "/").unwrap_or(text), false),
        };
        let mut segments = Vec::new();
        for segment in path.split('/').skip(1) {
            let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            segments.push(match variable {
                Some(name) if !name.is_empty() => Segment::Variable,
                _ if segment.contains(['{', '}', '*']) => return None,
                _ => Segment::Literal(segment.to_owned()),
            });
        }
        let literal: String = path.split('/').filter(|segment| !segment.starts_with('{')).collect::<Vec<_>>().join("/");
        let is_normal = crate::path::normalize(if literal.is_empty() { "/" } else { &literal })
            .is_ok_and(|normal| literal.is_empty() || normal == literal);
        let is_literal = !is_prefix && segments.iter().all(|segment| matches!(segment, Segment::Literal(_)));
        let valid = text.starts_with('/') && is_normal;
        valid.then(|| Self { text: text.to_owned(), segments, is_prefix, is_literal })
    }

    /// Whether a normal path is one of these.
    pub(super) fn matches(&self, path: &str) -> bool {
        if self.is_literal {
            return self.text == path;
        }
        let mut rest = path;
        for segment in &self.segments {
            let Some(after) = rest.strip_prefix('/') else { return false };
            let (found, after) = after.split_at(after.find('/').unwrap_or(after.len()));
            match segment {
                Segment::Literal(text) if text != found => return false,
                Segment::Variable if found.is_empty() => return false,
                _ => rest = after,
            }
        }
        if self.is_prefix { rest.len() > 1 || (self.segments.is_empty() && rest == "/") } else { rest.is_empty() }
    }

    /// The more specific one first: a literal segment before a variable one, and a longer path before its beginning.
    pub(super) fn specificity(&self, other: &Self) -> Ordering {
        for (own, others) in self.segments.iter().zip(&other.segments) {
            let order = match (own, others) {
                (Segment::Literal(_), Segment::Variable) => Ordering::Less,
                (Segment::Variable, Segment::Literal(_)) => Ordering::Greater,
                _ => Ordering::Equal,
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        other.segments.len().cmp(&self.segments.len()).then(self.is_prefix.cmp(&other.is_prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, path) in [
            ("/", "/"),
            ("/api/v1/candles", "/api/v1/candles"),
            ("/users/{id}", "/users/7"),
            ("/users/{id}/roles", "/users/7/roles"),
            ("/assets/*", "/assets/a"),
            ("/assets/*", "/assets/a/b/"),
            ("/*", "/"),
            ("/*", "/anything"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/", "/a"),
            ("/api/v1/candles", "/api/v1/candles/"),
            ("/api/v1/candles", "/api/v1/candlesticks"),
            ("/users/{id}", "/users/"),
            ("/users/{id}", "/users/7/roles"),
            ("/assets/*", "/assets"),
            ("/assets/*", "/assets/"),
            ("/assets/*", "/assetsx/a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        for invalid in ["", "a", "/a{b}", "/a*", "/*/a", "/a//b", "/a/../b", "/{}", "/a%2fb", "/%61"] {
            assert_eq!(Pattern::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn the_most_specific_one_is_first() {
        let mut patterns = ["/*", "/users/*", "/users/{id}", "/users/me", "/users/{id}/roles", "/"]
            .map(|pattern| Pattern::parse(pattern).unwrap());
        patterns.sort_by(Pattern::specificity);
        let sorted = patterns.each_ref().map(|pattern| pattern.text.as_str());
        assert_eq!(sorted, ["/users/me", "/users/{id}/roles", "/users/{id}", "/users/*", "/", "/*"]);
    }
}
