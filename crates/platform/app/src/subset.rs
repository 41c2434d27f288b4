//! Which components of a binary to run.

use std::collections::BTreeSet;

/// A choice of components, such as that of `--only http,sys`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Only(Option<BTreeSet<String>>);

/// A choice that names what the binary does not have, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownComponent {
    /// No component has this name.
    #[error("there is no component `{name}`; there are: {}", .known.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Nothing was chosen.
    #[error("no component is named; there are: {}", .known.join(", "))]
    Empty {
        /// The names there are.
        known: Vec<String>,
    },
}

impl Only {
    /// Every component.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Reads names parted by commas; spaces around them and empty ones are ignored. Each must be one of `known`.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, UnknownComponent> {
        let names: BTreeSet<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let all = || known.iter().map(|&name| name.to_owned()).collect();
        if let Some(&name) = names.iter().find(|name| !known.contains(name)) {
            let name = name.to_owned();
            return Err(UnknownComponent::Unknown { name, known: all() });
        }
        if names.is_empty() {
            return Err(UnknownComponent::Empty { known: all() });
        }
        Ok(Self(Some(names.into_iter().map(str::to_owned).collect())))
    }

    /// Whether the component of this name is to run.
    pub fn includes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["http", "grpc", "sys"];

    #[test]
    fn picks_what_is_named() {
        let only = Only::parse(" http,sys,, http", KNOWN).unwrap();
        let picked: Vec<_> = KNOWN.iter().filter(|name| only.includes(name)).collect();
        assert_eq!(picked, [&"http", &"sys"]);
        assert!(KNOWN.iter().all(|name| Only::all().includes(name)));
    }

    #[test]
    fn says_what_there_is() {
        let unknown = Only::parse("http,htpt", KNOWN).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no component `htpt`; there are: http, grpc, sys");
        let empty = Only::parse(" , ", KNOWN).unwrap_err();
        assert_eq!(empty.to_string(), "no component is named; there are: http, grpc, sys");
    }
}
