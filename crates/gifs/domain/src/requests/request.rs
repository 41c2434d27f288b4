//! What clients ask for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use unicode_normalization::UnicodeNormalization as _;

use crate::catalogue::{Language, Rating};

/// The text of a query, in the form that all spellings of it share: compatibility characters are replaced by what they stand
/// for (NFKC), letters are in lower case, and words are separated by single spaces. 1 to 50 characters, none of them a control
/// character.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryText(String);

/// The text cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} printable characters", QueryText::MAX_CHARS)]
pub struct InvalidQuery;

impl QueryText {
    /// Maximum length in characters; that of the Catalogue.
    pub const MAX_CHARS: usize = 50;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueryText {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, InvalidQuery> {
        // A character becomes at most 18: what is too long stays so, and is not normalized.
        if text.len() > 4_096 {
            return Err(InvalidQuery);
        }
        // Lower case can need another normalization, and the result of that is its own normal form.
        let text: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_valid = (1..=Self::MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_valid { Ok(Self(text)) } else { Err(InvalidQuery) }
    }
}

/// Where a page starts, as the Catalogue named it: 1 to 64 letters in lower case, digits, hyphens and dots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageToken(String);

/// The text is not the token of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from an earlier page")]
pub struct InvalidPageToken;

impl PageToken {
    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PageToken {
    type Err = InvalidPageToken;

    fn from_str(text: &str) -> Result<Self, InvalidPageToken> {
        let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        let is_valid = (1..=64).contains(&text.len()) && text.bytes().all(is_part);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidPageToken) }
    }
}

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// What matches a text, in a language if it is known.
    Search(QueryText, Option<Language>),
    /// What is popular.
    Trending,
}

/// A request for a page of GIFs. Equal requests have the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindRequest {
    /// What is to be found.
    pub wanted: Wanted,
    /// The highest rating.
    pub rating: Rating,
    /// Where the page starts; `None` for the first one.
    pub page: Option<PageToken>,
}

impl FindRequest {
    /// Identifies the answer in the cache; at most 300 bytes. The text is last, since it can contain every separator.
    pub fn key(&self) -> String {
        let page = self.page.as_ref().map_or("", PageToken::as_str);
        match &self.wanted {
            Wanted::Trending => format!("trending:{}:{page}", self.rating),
            Wanted::Search(text, language) => {
                let language = language.map(|language| language.to_string()).unwrap_or_default();
                format!("search:{}:{language}:{page}:{text}", self.rating)
            }
        }
    }
}

/// How long an answer lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// How long it is returned without asking again.
    pub fresh: Duration,
    /// How long before that ends it is renewed in the background, if it is asked for; zero for never.
    pub refresh: Duration,
    /// How long it is returned if asking again fails.
    pub stale: Duration,
    /// How long it is known that nothing matches.
    pub negative: Duration,
    /// How long it is known that there is no new answer.
    pub outage: Duration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            fresh: Duration::from_mins(1),
            refresh: Duration::from_secs(10),
            stale: Duration::from_hours(24),
            negative: Duration::from_secs(10),
            outage: Duration::from_secs(1),
        }
    }
}

impl CachePolicy {
    /// Whether a fresh answer of this age is to be renewed.
    pub fn is_due(&self, age: Duration) -> bool {
        !self.refresh.is_zero() && age.saturating_add(self.refresh) >= self.fresh
    }
}

impl fmt::Display for QueryText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn query(text: &str) -> QueryText {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_a_text_are_one_query() {
        for spelling in ["happy cat", " Happy\tCAT ", "ＨＡＰＰＹ\u{3000}ｃａｔ", "happy\u{a0}cat"] {
            assert_eq!(query(spelling).as_str(), "happy cat", "{spelling:?}");
        }
        assert_eq!(query("Cafe\u{301}"), query("CAFÉ"));
        assert_eq!(query("ﬁne").as_str(), "fine");
        assert_eq!(query("🐈").as_str(), "🐈");
    }

    #[test]
    fn a_normal_form_stays_as_it_is() {
        for text in ["İstanbul", "ẞ", "ſ\u{307}", "K\u{345}", "ΐΣ", "ǅ"] {
            let once = query(text);
            assert_eq!(query(once.as_str()), once, "{text:?}");
        }
    }

    #[test]
    fn a_text_has_a_limit() {
        assert!("é".repeat(50).parse::<QueryText>().is_ok());
        for invalid in ["", " \u{3000}", "a\0b", &"a".repeat(51), &"\u{fdfa}".repeat(3), &" ".repeat(5_000)] {
            assert_eq!(invalid.parse::<QueryText>(), Err(InvalidQuery), "{invalid:?}");
        }
    }

    #[test]
    fn a_page_token_is_short_and_plain() {
        for valid in ["local.25", "catalogue.01900000-0000-7000-8000-000000000000"] {
            assert_eq!(valid.parse::<PageToken>().unwrap().as_str(), valid);
        }
        for invalid in ["", "a:b", "A.1", "local 25", &"a".repeat(65)] {
            assert_eq!(invalid.parse::<PageToken>(), Err(InvalidPageToken), "{invalid}");
        }
    }

    #[test]
    fn an_answer_is_renewed_before_it_is_too_old() {
        let policy = CachePolicy::default();
        assert!(!policy.is_due(Duration::ZERO) && !policy.is_due(Duration::from_secs(49)));
        assert!(policy.is_due(Duration::from_secs(50)) && policy.is_due(Duration::MAX));
        assert!(!CachePolicy { refresh: Duration::ZERO, ..policy }.is_due(Duration::MAX));
    }

    #[test]
    fn different_requests_have_different_keys() {
        let language = "en".parse().ok();
        let wanted = [
            Wanted::Trending,
            Wanted::Search(query("cat"), None),
            Wanted::Search(query("cat"), language),
            Wanted::Search(query("en:cat"), None),
            Wanted::Search(query(":cat"), None),
        ];
        let mut keys = HashSet::new();
        for (wanted, rating, page) in wanted.iter().flat_map(|wanted| {
            [(Rating::G, None), (Rating::R, None), (Rating::G, "local.25".parse().ok())]
                .map(|(rating, page)| (wanted.clone(), rating, page))
        }) {
            let key = FindRequest { wanted, rating, page }.key();
            assert!(key.len() <= 300 && keys.insert(key.clone()), "{key}");
        }
        assert_eq!(keys.len(), 15);
    }
}
