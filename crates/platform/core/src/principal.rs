//! Who calls a service.

use std::collections::BTreeSet;

/// An authenticated caller: a user or another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    subject: String,
    scopes: BTreeSet<String>,
}

impl Principal {
    /// A caller with the id `subject` and its `scopes`, such as `dogs:write`.
    pub fn new(subject: impl Into<String>, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { subject: subject.into(), scopes: scopes.into_iter().map(Into::into).collect() }
    }

    /// The id of the caller: stable, and no name or address of a person. It is the only one of these values in spans.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What the caller may do, in alphabetical order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// Whether the caller has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_compared_as_a_whole() {
        let principal = Principal::new("user-1", ["dogs:write", "dogs:read", "dogs:read"]);
        assert_eq!(principal.subject(), "user-1");
        assert_eq!(principal.scopes().collect::<Vec<_>>(), ["dogs:read", "dogs:write"]);
        assert!(principal.has_scope("dogs:read") && !principal.has_scope("dogs"));
    }
}
