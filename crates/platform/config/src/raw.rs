//! Raw values, before they are converted to the types of their settings.

use std::fmt;

/// A raw value.
#[derive(Clone)]
pub(crate) enum Raw {
    /// Text of a variable, to be parsed as the setting's type.
    Text(String),
    /// A variable that is not valid UTF-8.
    NotUnicode,
    /// A TOML value, which has its own type.
    Toml(toml::Value),
}

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Environment,
    Line { path: String, line: usize },
}

/// Name of a value in its layer, and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::Line { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.origin)
    }
}
