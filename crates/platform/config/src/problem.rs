//! Problems of a configuration, with their locations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::raw::Source;

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A variable and its layer, or a file and its line.
    pub location: String,
    /// Description; never contains a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// All errors of a configuration. Displays one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects errors, so that a user can fix all of them at once, and warnings, which do not prevent the start.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    warnings: Vec<Problem>,
    reported_keys: BTreeSet<String>,
    sources: BTreeMap<String, Source>,
    /// Prefix of the keys while a section is checked that has one.
    prefix: String,
}

impl Problems {
    /// Adds an error of the setting `key`, such as `server_port`, unless it already has one. The message continues
    /// `SERVER_PORT (environment): …` and must not contain a secret.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        let key = format!("{}{key}", self.prefix);
        if self.reported_keys.contains(&key) {
            return;
        }
        let location = self.location(&key);
        self.add_for_key(&key, &location, message);
    }

    /// Adds a warning about the setting `key`, which does not prevent the start. The message continues
    /// `OTEL_TRACES_SAMPLER (environment): …` and must not contain a secret.
    pub fn warn(&mut self, key: &str, message: impl Into<String>) {
        let location = self.location(&format!("{}{key}", self.prefix));
        self.add_warning(location, message);
    }

    /// Adds one warning about all these values, if there are any.
    pub(crate) fn warn_once(&mut self, sources: &[Source], message: &str) {
        if !sources.is_empty() {
            let locations: Vec<_> = sources.iter().map(ToString::to_string).collect();
            self.add_warning(locations.join(", "), message);
        }
    }

    /// Runs a check that names keys without their prefix.
    pub(crate) fn with_prefix(&mut self, prefix: &str, check: impl FnOnce(&mut Self)) {
        prefix.clone_into(&mut self.prefix);
        check(self);
        self.prefix.clear();
    }

    fn add_warning(&mut self, location: String, message: impl Into<String>) {
        let warning = Problem { location, message: message.into() };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn location(&self, key: &str) -> String {
        match self.sources.get(key) {
            Some(source) => source.to_string(),
            None => format!("{} (not set)", key.to_ascii_uppercase()),
        }
    }

    pub(crate) fn add_for_key(&mut self, key: &str, location: &impl ToString, message: impl Into<String>) {
        self.reported_keys.insert(key.to_owned());
        self.add_at(location, message);
    }

    pub(crate) fn add_at(&mut self, location: &impl ToString, message: impl Into<String>) {
        let problem = Problem { location: location.to_string(), message: message.into() };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    pub(crate) fn set_source(&mut self, key: &str, source: Source) {
        self.sources.insert(key.to_owned(), source);
    }

    pub(crate) fn source(&self, key: &str) -> Option<&Source> {
        self.sources.get(key)
    }

    /// Adds the errors and warnings of another service, except for those that both have.
    /// `scope` is the prefix of the keys of the other service.
    pub(crate) fn absorb(&mut self, scope: &str, other: Self) {
        self.sources.extend(other.sources.into_iter().map(|(key, source)| (format!("{scope}{key}"), source)));
        for problem in other.found {
            self.add_at(&problem.location, problem.message);
        }
        for warning in other.warnings {
            self.add_warning(warning.location, warning.message);
        }
    }

    /// Returns what `resolve` makes of settings that were not loaded, and may be wrong; or the errors that it adds.
    pub fn resolve<T>(resolve: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, ConfigErrors> {
        let mut problems = Self::default();
        let value = resolve(&mut problems);
        problems.into_result()?;
        value.ok_or_else(|| ConfigErrors(Vec::new()))
    }

    /// Returns the warnings, or the errors if there are any.
    pub fn into_result(self) -> Result<Vec<Problem>, ConfigErrors> {
        if self.found.is_empty() { Ok(self.warnings) } else { Err(ConfigErrors(self.found)) }
    }
}
