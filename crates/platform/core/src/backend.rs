//! Interchangeable backends of one kind: Cargo features decide which ones a build contains, a setting selects one by
//! name.
//!
//! A setting is (de)serialized as the backend's name: `#[serde(with = "kennel_core::backend")]`.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

/// The backends of one kind, such as the brokers. Each adapter crate implements it for its enum `Backend`.
pub trait BackendKind: Copy + Eq + 'static {
    /// The kind in error messages, such as "broker" in "there is no broker `x`".
    const KIND: &'static str;
    /// Every backend of the kind: the value, its name, which is also its Cargo feature, and whether this build contains
    /// it.
    const ALL: &'static [(Self, &'static str, bool)];

    /// Returns the name of the backend.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(backend, ..)| *backend == self).map_or("", |(_, name, _)| name)
    }

    /// Returns the backends that this build contains.
    fn built() -> impl Iterator<Item = Self> {
        Self::ALL.iter().filter(|(.., built)| *built).map(|(backend, ..)| *backend)
    }

    /// Returns the backend with this name. Fails when it is unknown or this build does not contain it.
    fn parse(name: &str) -> Result<Self, BackendError> {
        match Self::ALL.iter().find(|(_, known, _)| *known == name) {
            Some((backend, ..)) => backend.require(),
            None => Err(BackendError::Unknown { kind: Self::KIND, name: name.to_owned(), built: names::<Self>() }),
        }
    }

    /// Returns itself. Fails when this build does not contain it.
    fn require(self) -> Result<Self, BackendError> {
        if Self::built().any(|backend| backend == self) { Ok(self) } else { Err(self.absent()) }
    }

    /// Returns the error for a backend that this build does not contain.
    fn absent(self) -> BackendError {
        BackendError::Absent { kind: Self::KIND, name: self.name(), built: names::<Self>() }
    }
}

/// Why a backend cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No backend has this name.
    #[error("there is no {kind} `{name}`; this build has {built}")]
    Unknown {
        /// The kind of backend, see [`BackendKind::KIND`].
        kind: &'static str,
        /// The unknown name.
        name: String,
        /// The names of the backends in this build, separated by commas.
        built: String,
    },
    /// The backend exists, but this build does not contain it.
    #[error("the {kind} `{name}` is not in this build, which has {built}; build it with the feature `{name}`")]
    Absent {
        /// The kind of backend, see [`BackendKind::KIND`].
        kind: &'static str,
        /// The name of the backend.
        name: &'static str,
        /// The names of the backends in this build, separated by commas.
        built: String,
    },
}

fn names<B: BackendKind>() -> String {
    B::built().map(BackendKind::name).collect::<Vec<_>>().join(", ")
}

/// Serializes a backend as its name.
pub fn serialize<B: BackendKind, S: Serializer>(backend: &B, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(backend.name())
}

/// Deserializes a backend from its name. Fails when this build does not contain it.
pub fn deserialize<'de, B: BackendKind, D: Deserializer<'de>>(deserializer: D) -> Result<B, D::Error> {
    let name = Cow::<str>::deserialize(deserializer)?;
    B::parse(&name).map_err(D::Error::custom)
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

    impl BackendKind for Post {
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
        for backend in Post::built() {
            assert_eq!((Post::parse(backend.name()), backend.require()), (Ok(backend), Ok(backend)));
        }
    }

    #[test]
    fn unknown_names_are_rejected_with_the_list_of_backends() {
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
    fn settings_contain_names() {
        let settings = Settings { post: Post::Pigeon };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(text, r#"{"post":"pigeon"}"#);
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        let refused = serde_json::from_str::<Settings>(r#"{"post": "rocket"}"#).unwrap_err().to_string();
        assert!(refused.starts_with("the post `rocket` is not in this build"), "{refused}");
    }
}
