//! What is searched for, and where a page continues.

use std::fmt;
use std::str::FromStr;

use gifs_contracts::GifId;

use super::Provider;

/// A text to search for: 1 to 50 characters, without control characters, with single spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SearchText(String);

/// The text cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} printable characters", SearchText::MAX_CHARS)]
pub struct InvalidSearchText;

impl SearchText {
    /// Maximum length in characters; that of GIPHY.
    pub const MAX_CHARS: usize = 50;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SearchText {
    type Err = InvalidSearchText;

    /// Removes spaces at the ends, and joins words by single spaces.
    fn from_str(text: &str) -> Result<Self, InvalidSearchText> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_valid = (1..=Self::MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_valid { Ok(Self(text)) } else { Err(InvalidSearchText) }
    }
}

/// A language by ISO 639-1: two letters in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language([u8; 2]);

/// The text is not a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be two letters, such as `en`")]
pub struct InvalidLanguage;

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(text: &str) -> Result<Self, InvalidLanguage> {
        match *text.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first, second].map(|byte| byte.to_ascii_lowercase())))
            }
            _ => Err(InvalidLanguage),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// Where a page of found GIFs starts: at a provider, or in the catalogue. As text it is the token of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At a provider; the number is that of the adapter.
    Provider(Provider, u32),
    /// In the catalogue, after this GIF.
    Catalogue(GifId),
}

/// The text is not the token of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from an earlier page")]
pub struct InvalidPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(provider, number) => write!(f, "{provider}.{number}"),
            Self::Catalogue(after) => write!(f, "catalogue.{after}"),
        }
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        match text.split_once('.').ok_or(InvalidPosition)? {
            ("catalogue", after) => after.parse().map(Self::Catalogue).map_err(|_| InvalidPosition),
            (provider, number) => {
                let provider = provider.parse().map_err(|_| InvalidPosition)?;
                number.parse().map(|number| Self::Provider(provider, number)).map_err(|_| InvalidPosition)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_single_spaces_and_a_limit() {
        assert_eq!(" happy \t cat ".parse::<SearchText>().unwrap().as_str(), "happy cat");
        assert!("é".repeat(50).parse::<SearchText>().is_ok());
        for invalid in ["", " ", "a\0b", &"a".repeat(51)] {
            assert_eq!(invalid.parse::<SearchText>(), Err(InvalidSearchText), "{invalid:?}");
        }
    }

    #[test]
    fn a_language_has_two_letters() {
        assert_eq!("En".parse::<Language>().unwrap().to_string(), "en");
        for invalid in ["", "e", "eng", "é", "e1"] {
            assert_eq!(invalid.parse::<Language>(), Err(InvalidLanguage), "{invalid}");
        }
    }

    #[test]
    fn a_position_survives_as_text() {
        let id = GifId(uuid::Uuid::from_u128(7));
        for position in [Position::Provider(Provider::Klipy, u32::MAX), Position::Catalogue(id)] {
            assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        }
        for invalid in ["", "giphy", "giphy.", "giphy.-1", "tenor.1", "catalogue.1", "1.giphy"] {
            assert_eq!(invalid.parse::<Position>(), Err(InvalidPosition), "{invalid}");
        }
    }
}
