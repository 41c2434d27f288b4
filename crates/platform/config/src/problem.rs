//! What is wrong with a configuration, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::layer::Source;

/// One thing to put right, or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is: a variable and its layer, or a file and its line.
    pub place: String,
    /// What is wrong; never holds a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every problem of a configuration; prints one line for each.
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

/// Gathers problems, so that a user can put all of them right in one go, and warnings, which stop nothing.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    warnings: Vec<Problem>,
    blamed: BTreeSet<String>,
    sources: BTreeMap<String, Source>,
}

impl Problems {
    /// Adds what is wrong with the setting `key`, such as `server_port`, unless it is known to be wrong already.
    /// The message completes `SERVER_PORT (environment): …` and must not hold a secret.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        if self.blamed.contains(key) {
            return;
        }
        let place = self.place(key);
        self.blame(key, &place, message);
    }

    /// Adds what a user has to know of the setting `key` though the process runs. The message completes
    /// `OTEL_TRACES_SAMPLER (environment): …` and must not hold a secret.
    pub fn warn(&mut self, key: &str, message: impl Into<String>) {
        let place = self.place(key);
        self.warn_at(place, message);
    }

    pub(crate) fn warn_at(&mut self, place: String, message: impl Into<String>) {
        self.warnings.push(Problem { place, message: message.into() });
    }

    fn place(&self, key: &str) -> String {
        match self.sources.get(key) {
            Some(source) => source.to_string(),
            None => format!("{} (not set)", key.to_ascii_uppercase()),
        }
    }

    pub(crate) fn blame(&mut self, key: &str, place: &impl ToString, message: impl Into<String>) {
        self.blamed.insert(key.to_owned());
        self.at(place, message);
    }

    pub(crate) fn at(&mut self, place: &impl ToString, message: impl Into<String>) {
        let problem = Problem { place: place.to_string(), message: message.into() };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    pub(crate) fn note_source(&mut self, key: &str, source: Source) {
        self.sources.insert(key.to_owned(), source);
    }

    pub(crate) fn source(&self, key: &str) -> Option<&Source> {
        self.sources.get(key)
    }

    /// The warnings, where nothing is wrong.
    pub(crate) fn into_result(self) -> Result<Vec<Problem>, ConfigErrors> {
        if self.found.is_empty() { Ok(self.warnings) } else { Err(ConfigErrors(self.found)) }
    }
}
