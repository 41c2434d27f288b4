//! The aggregate: a GIF of a provider, what the provider says about it, and the state of its bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use gifs_contracts::{GifId, Refusal, Sha256};
use kennel_core::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::words::words;

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
                f.write_str(self.name())
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

/// What a rendition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenditionKind {
    /// The original, or the largest that the provider has.
    Original,
    /// A smaller one, for lists.
    Small,
    /// A still image.
    Still,
}

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// MPEG-4.
    Mp4,
}

/// One file of a GIF at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// What it is for.
    pub kind: RenditionKind,
    /// Its format.
    pub format: Format,
    /// Where it is: an `http` or `https` URL without a user name and password.
    pub url: Url,
    /// Width in pixels, if the provider reports it.
    pub width: Option<u32>,
    /// Height in pixels, if the provider reports it.
    pub height: Option<u32>,
    /// Size in bytes, if the provider reports it.
    pub size: Option<u64>,
}

impl Rendition {
    fn is_usable(&self) -> bool {
        let url = &self.url;
        let is_web = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= 2_048;
        is_web && url.username().is_empty() && url.password().is_none()
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

/// Why an item of a provider is not added to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableGif {
    /// Its id is not a [`ProviderId`].
    #[error("its id must be 1 to 100 printable characters")]
    Id,
    /// None of its usable renditions is a GIF.
    #[error("it has no rendition that is a GIF")]
    NoRendition,
}

/// What a provider says about a GIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Title, at most 300 characters; may be empty.
    pub title: String,
    /// Tags in lower case, sorted, each once: at most 30 of at most 50 characters.
    pub tags: Vec<String>,
    /// Its page at the provider.
    pub page_url: Option<Url>,
    /// Text that has to be shown next to the GIF; may be empty.
    pub attribution: String,
    /// Its files: at least one is a GIF.
    pub renditions: Vec<Rendition>,
}

impl Details {
    const MAX_TITLE: usize = 300;
    const MAX_TAGS: usize = 30;
    const MAX_TAG: usize = 50;

    /// Brings what a provider says into this form: cuts texts, removes control characters, and drops what is empty and
    /// renditions that cannot be used.
    pub fn cleaned(self) -> Result<Self, UnusableGif> {
        let tags = self.tags.iter().map(|tag| clean(tag, Self::MAX_TAG).to_lowercase()).filter(|tag| !tag.is_empty());
        let tags: BTreeSet<String> = tags.take(Self::MAX_TAGS).collect();
        let mut renditions = self.renditions;
        renditions.retain(Rendition::is_usable);
        if renditions.iter().all(|rendition| rendition.format != Format::Gif) {
            return Err(UnusableGif::NoRendition);
        }
        let page_url = self.page_url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let title = clean(&self.title, Self::MAX_TITLE);
        Ok(Self { title, tags: tags.into_iter().collect(), page_url, renditions, ..self })
    }

    /// The GIF of which the bytes are stored: the original, else the one with most pixels.
    pub fn original(&self) -> Option<&Rendition> {
        let gifs = self.renditions.iter().filter(|rendition| rendition.format == Format::Gif);
        let pixels = |rendition: &Rendition| u64::from(rendition.width?).checked_mul(u64::from(rendition.height?));
        gifs.max_by_key(|rendition| (rendition.kind == RenditionKind::Original, pixels(rendition)))
    }

    /// The words by which the GIF is found.
    pub fn words(&self) -> Vec<String> {
        words(&format!("{} {}", self.title, self.tags.join(" ")))
    }
}

/// The text without control characters and with single spaces, cut to `max` characters.
fn clean(text: &str, max: usize) -> String {
    let text = text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty());
    let text: String = text.collect::<Vec<_>>().join(" ").chars().take(max).collect();
    text.trim_end().to_owned()
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

    fn rendition(kind: RenditionKind, format: Format, url: &str, side: Option<u32>) -> Rendition {
        Rendition { kind, format, url: url.parse().unwrap(), width: side, height: side, size: None }
    }

    fn details(title: &str, tags: &[&str], renditions: Vec<Rendition>) -> Details {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Details { title: title.to_owned(), tags, page_url: None, attribution: String::new(), renditions }
    }

    fn gif(url: &str) -> Vec<Rendition> {
        vec![rendition(RenditionKind::Original, Format::Gif, url, None)]
    }

    #[test]
    fn what_a_provider_says_is_cleaned() {
        let long = "é".repeat(400);
        let given = details(&long, &["B", " a\u{7}  c ", "", "b", "\n"], gif("https://a.example/1.gif"));
        let cleaned = given.cleaned().unwrap();
        assert_eq!(cleaned.title, "é".repeat(300));
        assert_eq!(cleaned.tags, ["a c", "b"]);
        assert_eq!(details(" a \u{0}b\t", &[], gif("https://a.example/1.gif")).cleaned().unwrap().title, "a b");
    }

    #[test]
    fn a_gif_without_a_usable_rendition_is_refused() {
        for url in
            ["ftp://a.example/1.gif", "https://me:secret@a.example/1.gif", "https://me@a.example/1.gif", "data:,"]
        {
            assert_eq!(details("", &[], gif(url)).cleaned(), Err(UnusableGif::NoRendition), "{url}");
        }
        let video = vec![rendition(RenditionKind::Original, Format::Mp4, "https://a.example/1.mp4", None)];
        assert_eq!(details("", &[], video).cleaned(), Err(UnusableGif::NoRendition));
        assert_eq!(details("", &[], Vec::new()).cleaned(), Err(UnusableGif::NoRendition));
    }

    #[test]
    fn the_original_or_the_largest_gif_is_stored() {
        let small =
            |side| rendition(RenditionKind::Small, Format::Gif, &format!("https://a.example/{side}"), Some(side));
        let video = rendition(RenditionKind::Original, Format::Mp4, "https://a.example/1.mp4", Some(900));
        let given = details("", &[], vec![small(20), small(90), small(50), video]);
        assert_eq!(given.original().unwrap().url.path(), "/90");
        let mut with_original = given;
        with_original.renditions.push(gif("https://a.example/original").remove(0));
        assert_eq!(with_original.original().unwrap().url.path(), "/original");
    }

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
