//! The aggregate: a GIF of a provider, what the provider says about it, and the state of its bytes.

use std::fmt;
use std::str::FromStr;

use gifs_contracts::{GifId, Refusal, Sha256};
use kennel_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Details, UnusableGif};

/// The text is not one of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {0}")]
pub struct UnknownName(&'static str);

/// Gives each variant of a field-less enum the name by which it is stored and shown.
macro_rules! names {
    ($type:ty: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownName(names!(@list $($name),+))),
                }
            }
        }
    };
    (@list $first:literal $(, $more:literal)*) => { concat!($first $(, ", ", $more)*) };
}

/// Where GIFs are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// The animations that are a part of the program.
    Local,
    /// GIPHY.
    Giphy,
    /// KLIPY.
    Klipy,
}

names!(Provider: Local = "local", Giphy = "giphy", Klipy = "klipy");

/// For whom a GIF is suitable. A higher rating includes the lower ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rating {
    /// Everyone.
    #[default]
    G,
    /// With parental guidance.
    Pg,
    /// From 13 years on.
    Pg13,
    /// Adults.
    R,
}

names!(Rating: G = "g", Pg = "pg", Pg13 = "pg-13", R = "r");

/// The number is not the level of a rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the level of a rating")]
pub struct InvalidRating;

impl Rating {
    /// The rating as a number: a higher rating is a higher number.
    pub const fn level(self) -> u8 {
        match self {
            Self::G => 0,
            Self::Pg => 1,
            Self::Pg13 => 2,
            Self::R => 3,
        }
    }

    /// The rating with this level.
    pub fn from_level(level: i64) -> Result<Self, InvalidRating> {
        Self::ALL.iter().copied().find(|rating| i64::from(rating.level()) == level).ok_or(InvalidRating)
    }
}

/// The id of a GIF at its provider: 1 to 100 printable ASCII characters without spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProviderId {
    type Error = UnusableGif;

    fn try_from(id: String) -> Result<Self, UnusableGif> {
        let is_valid = (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if is_valid { Ok(Self(id)) } else { Err(UnusableGif::Id) }
    }
}

/// What identifies a GIF outside of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GifKey {
    /// The provider.
    pub provider: Provider,
    /// Its id at the provider.
    pub id: ProviderId,
}

/// What Media reports about the stored bytes of a GIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// SHA-256 of the original bytes: the id of the blob.
    pub sha256: Sha256,
    /// Size of the original in bytes.
    pub size: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of frames.
    pub frames: u32,
    /// Duration of one loop in milliseconds.
    pub duration_ms: u64,
}

/// Whether the bytes of a GIF are stored. A state only changes to a later one; the last two are final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GifState {
    /// Its bytes stay at the provider.
    Known,
    /// Media was asked to store its bytes.
    Fetching,
    /// Its bytes are stored.
    Stored(MediaFacts),
    /// Its bytes cannot be stored.
    Refused(Refusal),
}

/// The name of a state, without what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateName {
    /// See [`GifState::Known`].
    Known,
    /// See [`GifState::Fetching`].
    Fetching,
    /// See [`GifState::Stored`].
    Stored,
    /// See [`GifState::Refused`].
    Refused,
}

names!(StateName: Known = "known", Fetching = "fetching", Stored = "stored", Refused = "refused");

impl GifState {
    /// Its name.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Known => StateName::Known,
            Self::Fetching => StateName::Fetching,
            Self::Stored(_) => StateName::Stored,
            Self::Refused(_) => StateName::Refused,
        }
    }

    /// Whether it can change to `next`.
    pub const fn precedes(&self, next: &Self) -> bool {
        self.rank() < next.rank()
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Known => 0,
            Self::Fetching => 1,
            Self::Stored(_) | Self::Refused(_) => 2,
        }
    }
}

/// A GIF of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gif {
    /// Its id.
    pub id: GifId,
    /// What identifies it at its provider; never changes.
    pub key: GifKey,
    /// Its rating; never changes.
    pub rating: Rating,
    /// What the provider says about it.
    pub details: Details,
    /// Whether its bytes are stored.
    pub state: GifState,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its details or its state were last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printable_and_limited() {
        for valid in ["a", "3o7TKSjRrfIPjeiVyM", "123456789012345", "a-b_c.d", &"x".repeat(100)] {
            assert!(ProviderId::try_from(valid.to_owned()).is_ok(), "{valid}");
        }
        for invalid in ["", "a b", "a\n", "é", &"x".repeat(101)] {
            assert!(ProviderId::try_from(invalid.to_owned()).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_state_only_moves_forward() {
        let facts = MediaFacts {
            sha256: "0".repeat(64).parse().unwrap(),
            size: 1,
            width: 1,
            height: 1,
            frames: 1,
            duration_ms: 0,
        };
        let states = [GifState::Known, GifState::Fetching, GifState::Stored(facts), GifState::Refused(Refusal::Gone)];
        let allowed: Vec<_> = states
            .iter()
            .flat_map(|from| states.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.precedes(to))
            .map(|(from, to)| (from.name().name(), to.name().name()))
            .collect();
        let expected = [
            ("known", "fetching"),
            ("known", "stored"),
            ("known", "refused"),
            ("fetching", "stored"),
            ("fetching", "refused"),
        ];
        assert_eq!(allowed, expected);
    }

    #[test]
    fn names_survive_the_round_trip() {
        for rating in Rating::ALL {
            assert_eq!(rating.name().parse::<Rating>().unwrap(), *rating);
            assert_eq!(Rating::from_level(rating.level().into()).unwrap(), *rating);
        }
        assert_eq!(Rating::from_level(4), Err(InvalidRating));
        assert_eq!("tenor".parse::<Provider>().unwrap_err().to_string(), "must be one of: local, giphy, klipy");
    }
}
