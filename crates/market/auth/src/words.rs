//! Names of accounts, roles and permissions.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kennel_core::RepoError;

/// A name: 1 to 64 lower-case letters, digits and `._:@-`. So it needs no escaping in a list that is separated by spaces, as in
/// the claim `scope`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

/// The text is not a [`Word`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 lower-case letters, digits and ._:@-")]
pub struct InvalidWord;

impl Word {
    const MAX_BYTES: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:@-".contains(&byte);
        let is_word = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_word { Ok(Self(text.to_owned())) } else { Err(InvalidWord) }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Different words, in alphabetical order.
pub type Words = BTreeSet<Word>;

/// The words, separated by spaces.
pub fn join(words: &Words) -> String {
    words.iter().map(Word::as_str).collect::<Vec<_>>().join(" ")
}

/// The words of a stored list.
pub(crate) fn split(text: &str) -> Result<Words, RepoError> {
    text.split_ascii_whitespace().map(|word| word.parse().map_err(RepoError::corrupt)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping() {
        for valid in ["ann", "a.b@example.com", "market:read", "x-1", &"a".repeat(64)] {
            assert_eq!(valid.parse::<Word>().unwrap().as_str(), valid);
        }
        for invalid in ["", "Ann", "a b", "a\n", "é", "a\"", &"a".repeat(65)] {
            assert_eq!(invalid.parse::<Word>(), Err(InvalidWord), "{invalid:?}");
        }
        let words = split(" b a  a ").unwrap();
        assert_eq!(join(&words), "a b");
        assert!(split("a B").is_err());
    }
}
