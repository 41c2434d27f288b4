//! Events of Media.

use std::fmt;
use std::str::FromStr;

use kennel_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GifId, event};

/// The topic of Media's events.
pub const MEDIA_EVENTS: &str = "media.events";

/// The bytes of a GIF are stored and can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaStored {
    /// The GIF.
    pub id: GifId,
    /// SHA-256 of the original bytes: the id of the blob. Several GIFs may have the same bytes.
    pub sha256: Sha256,
    /// Size of the original in bytes.
    pub size: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of frames; 1 is a still image.
    pub frames: u32,
    /// Duration of one loop in milliseconds, as browsers play it.
    pub duration_ms: u64,
    /// When they were stored.
    pub stored_at: Timestamp,
}

/// The bytes of a GIF cannot be stored; Media does not try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaRefused {
    /// The GIF.
    pub id: GifId,
    /// Why.
    pub refusal: Refusal,
    /// Details for an operator, such as `2401 frames, at most 2000`; never a URL or bytes of the file.
    pub detail: Option<String>,
    /// When they were refused.
    pub refused_at: Timestamp,
}

event!(MediaStored, "media.stored", MEDIA_EVENTS);
event!(MediaRefused, "media.refused", MEDIA_EVENTS);

/// Why the bytes of a GIF are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The provider does not have the file any more.
    Gone,
    /// The provider does not permit access to the file.
    Denied,
    /// Downloads from the address are not allowed.
    ForbiddenAddress,
    /// The provider did not return the file, in several attempts.
    Unreachable,
    /// The file has too many bytes.
    TooLarge,
    /// The file is not a GIF.
    NotAGif,
    /// The file has no complete frame.
    Damaged,
    /// The animation has too many frames or pixels, or is too long.
    OverLimits,
    /// A reason that a newer version reports.
    #[serde(other)]
    Other,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Gone,
        Self::Denied,
        Self::ForbiddenAddress,
        Self::Unreachable,
        Self::TooLarge,
        Self::NotAGif,
        Self::Damaged,
        Self::OverLimits,
        Self::Other,
    ];

    /// The reason as in events and answers, such as `too_large`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Denied => "denied",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too_large",
            Self::NotAGif => "not_a_gif",
            Self::Damaged => "damaged",
            Self::OverLimits => "over_limits",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Refusal {
    /// The reason with this name; [`Refusal::Other`] for an unknown one.
    fn from(name: &str) -> Self {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == name).unwrap_or(Self::Other)
    }
}

/// A SHA-256 digest: 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
pub struct Sha256(String);

/// The text is not a [`Sha256`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 hexadecimal digits in lower case")]
pub struct InvalidSha256;

impl Sha256 {
    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = InvalidSha256;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = InvalidSha256;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) { Ok(Self(text)) } else { Err(InvalidSha256) }
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_everywhere() {
        for refusal in Refusal::ALL {
            assert_eq!(serde_json::to_value(refusal).unwrap(), refusal.as_str());
            assert_eq!(Refusal::from(refusal.as_str()), refusal);
        }
    }

    #[test]
    fn a_reason_of_a_newer_version_is_accepted() {
        assert_eq!(serde_json::from_str::<Refusal>("\"too_pretty\"").unwrap(), Refusal::Other);
        assert_eq!(Refusal::from("too_pretty"), Refusal::Other);
    }

    #[test]
    fn a_digest_is_64_digits_in_lower_case() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(digest.parse::<Sha256>().unwrap().as_str(), digest);
        for invalid in ["", "0", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(invalid.parse::<Sha256>(), Err(InvalidSha256), "{invalid}");
        }
        assert!(serde_json::from_str::<Sha256>("\"x\"").is_err());
    }
}
