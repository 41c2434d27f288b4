//! Parts of one kind that can stand in for each other: a build has some of them, a setting names one.
//!
//! In settings, a part is written as its name: `#[serde(with = "kennel_core::part")]`.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

/// One part of a kind, as NATS is of brokers.
pub trait Part: Copy + Eq + 'static {
    /// What such parts are, as messages have it: "there is no broker".
    const KIND: &'static str;
    /// Every part of the kind: its name, which is that of its Cargo feature too, and whether this build has it.
    const ALL: &'static [(Self, &'static str, bool)];

    /// Its name.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(part, ..)| *part == self).map_or("", |(_, name, _)| name)
    }

    /// The parts that this build has.
    fn built() -> impl Iterator<Item = Self> {
        Self::ALL.iter().filter(|(.., built)| *built).map(|(part, ..)| *part)
    }

    /// The part of that name, if this build has it.
    fn parse(name: &str) -> Result<Self, PartError> {
        match Self::ALL.iter().find(|(_, known, _)| *known == name) {
            Some((part, ..)) => part.require(),
            None => Err(PartError::Unknown { kind: Self::KIND, name: name.to_owned(), built: names::<Self>() }),
        }
    }

    /// Itself, if this build has it.
    fn require(self) -> Result<Self, PartError> {
        if Self::built().any(|part| part == self) { Ok(self) } else { Err(self.absent()) }
    }

    /// That this build lacks it.
    fn absent(self) -> PartError {
        PartError::Absent { kind: Self::KIND, name: self.name(), built: names::<Self>() }
    }
}

/// Why a part cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// There is none of that name.
    #[error("there is no {kind} `{name}`; this build has {built}")]
    Unknown {
        /// What was asked for.
        kind: &'static str,
        /// By which name.
        name: String,
        /// The names of what there is, parted by commas.
        built: String,
    },
    /// The build lacks it.
    #[error("the {kind} `{name}` is not in this build, which has {built}; build it with the feature `{name}`")]
    Absent {
        /// What was asked for.
        kind: &'static str,
        /// Its name.
        name: &'static str,
        /// The names of what there is, parted by commas.
        built: String,
    },
}

fn names<P: Part>() -> String {
    P::built().map(Part::name).collect::<Vec<_>>().join(", ")
}

/// Writes a part as its name.
pub fn serialize<P: Part, S: Serializer>(part: &P, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(part.name())
}

/// Reads a part by its name, if this build has it.
pub fn deserialize<'de, P: Part, D: Deserializer<'de>>(deserializer: D) -> Result<P, D::Error> {
    let name = Cow::<str>::deserialize(deserializer)?;
    P::parse(&name).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Post {
        Runner,
        Pigeon,
        Rocket,
    }

    impl Part for Post {
        const KIND: &'static str = "post";
        const ALL: &'static [(Self, &'static str, bool)] =
            &[(Self::Runner, "runner", true), (Self::Pigeon, "pigeon", true), (Self::Rocket, "rocket", false)];
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Settings {
        #[serde(with = "super")]
        post: Post,
    }

    #[test]
    fn parts_of_the_build_are_picked_by_name() {
        assert_eq!(Post::built().collect::<Vec<_>>(), [Post::Runner, Post::Pigeon]);
        for part in Post::built() {
            assert_eq!((Post::parse(part.name()), part.require()), (Ok(part), Ok(part)));
        }
    }

    #[test]
    fn others_are_answered_with_what_there_is() {
        let unknown = Post::parse("owl").unwrap_err().to_string();
        assert_eq!(unknown, "there is no post `owl`; this build has runner, pigeon");
        let absent = Post::parse("rocket").unwrap_err();
        assert_eq!(Post::Rocket.require(), Err(absent.clone()));
        assert_eq!(
            absent.to_string(),
            "the post `rocket` is not in this build, which has runner, pigeon; build it with the feature `rocket`"
        );
    }

    #[test]
    fn settings_hold_names() {
        let settings = Settings { post: Post::Pigeon };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(text, r#"{"post":"pigeon"}"#);
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        let refused = serde_json::from_str::<Settings>(r#"{"post": "rocket"}"#).unwrap_err().to_string();
        assert!(refused.starts_with("the post `rocket` is not in this build"), "{refused}");
    }
}
