//! Selects the components of a binary that run.

use std::collections::BTreeSet;

/// A selection of components, such as `--only http,sys`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentFilter(Option<BTreeSet<String>>);

/// The selection is empty or names an unknown component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownComponent {
    /// No component has this name.
    #[error("there is no component `{name}`; there are: {}", .known.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
        /// The known names.
        known: Vec<String>,
    },
    /// No component is named.
    #[error("no component is named; there are: {}", .known.join(", "))]
    Empty {
        /// The known names.
        known: Vec<String>,
    },
}

impl ComponentFilter {
    /// Selects every component.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Parses names separated by commas; ignores spaces around them and empty names. Each must be one of `known`.
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

    /// Returns whether the component of this name runs.
    pub fn includes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["http", "grpc", "sys"];

    #[test]
    fn selects_the_named_components() {
        let filter = ComponentFilter::parse(" http,sys,, http", KNOWN).unwrap();
        let selected: Vec<_> = KNOWN.iter().filter(|name| filter.includes(name)).collect();
        assert_eq!(selected, [&"http", &"sys"]);
        assert!(KNOWN.iter().all(|name| ComponentFilter::all().includes(name)));
    }

    #[test]
    fn errors_list_the_known_names() {
        let unknown = ComponentFilter::parse("http,htpt", KNOWN).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no component `htpt`; there are: http, grpc, sys");
        let empty = ComponentFilter::parse(" , ", KNOWN).unwrap_err();
        assert_eq!(empty.to_string(), "no component is named; there are: http, grpc, sys");
    }
}
