//! The model of a dog.

use std::fmt;
use std::str::FromStr;

use kennel_core::{ObjectKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A dog's id: UUID version 7, so that ids sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DogId(pub Uuid);

impl fmt::Display for DogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DogId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A breed, with its sub-breed where it has one, such as `husky` or `hound-afghan`.
///
/// One to four words of `a-z 0-9` joined by `-`, at most 64 bytes. Parsing accepts upper case, and a space, `_` or `/`
/// instead of `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Breed(String);

/// Text that is not the name of a breed.
#[derive(Debug, thiserror::Error)]
#[error("must be one to four words of a-z and 0-9, at most 64 characters")]
pub struct InvalidBreed;

impl Breed {
    const MAX_BYTES: usize = 64;
    const MAX_WORDS: usize = 4;

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The breed without its sub-breed.
    pub fn main(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(main, _)| main)
    }

    /// The sub-breed.
    pub fn sub(&self) -> Option<&str> {
        self.0.split_once('-').map(|(_, sub)| sub)
    }
}

impl FromStr for Breed {
    type Err = InvalidBreed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidBreed);
        }
        let mut name = text.as_bytes().to_ascii_lowercase();
        for byte in &mut name {
            if matches!(byte, b' ' | b'_' | b'/') {
                *byte = b'-';
            }
        }
        let is_good =
            |word: &[u8]| !word.is_empty() && word.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let words = || name.split(|byte| *byte == b'-');
        if words().count() > Self::MAX_WORDS || !words().all(is_good) {
            return Err(InvalidBreed);
        }
        String::from_utf8(name).map(Self).map_err(|_| InvalidBreed)
    }
}

impl TryFrom<String> for Breed {
    type Error = InvalidBreed;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Breed> for String {
    fn from(breed: Breed) -> Self {
        breed.0
    }
}

impl fmt::Display for Breed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of changes of a dog by its users, plus one. Starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Revision(pub u32);

impl Revision {
    /// The revision of a new dog.
    pub const FIRST: Self = Self(1);

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// An image in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Photo {
    /// Its key, derived from its content.
    pub key: ObjectKey,
    /// `image/jpeg`, `image/png`, `image/gif` or `image/webp`.
    pub content_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The thumbnail, once it is created. Users do not change it, so it does not change the revision.
    pub thumbnail: Option<ObjectKey>,
}

/// A dog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dog {
    /// Its id.
    pub id: DogId,
    /// Its breed.
    pub breed: Breed,
    /// Its name.
    pub name: Option<String>,
    /// The URL of its image outside the service.
    pub image_url: Option<String>,
    /// Its image inside the service.
    pub photo: Option<Photo>,
    /// Its revision.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The number of dogs of a breed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreedCount {
    /// The breed.
    pub breed: Breed,
    /// Number of dogs of exactly this breed.
    pub dogs: u64,
}

/// Maximum length of a dog's name, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Maximum length of a dog's URL, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breeds_have_one_spelling() {
        for spelling in ["hound-afghan", "Hound/Afghan", "hound afghan", " HOUND_AFGHAN "] {
            assert_eq!(spelling.parse::<Breed>().unwrap().as_str(), "hound-afghan");
        }
        let breed: Breed = "hound-afghan".parse().unwrap();
        assert_eq!((breed.main(), breed.sub()), ("hound", Some("afghan")));
        assert_eq!("husky".parse::<Breed>().unwrap().sub(), None);
    }

    #[test]
    fn breeds_have_limits() {
        for bad in ["", "-", "a--b", "-a", "a-", "a-b-c-d-e", "h\u{fc}sky", "a.b", "../x", "a\0"] {
            assert!(bad.parse::<Breed>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(65).parse::<Breed>().is_err());
    }
}
