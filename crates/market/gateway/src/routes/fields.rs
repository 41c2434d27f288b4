//! Reads tables of TOML strictly: every problem is reported, with its place, also that of unknown keys.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The problems of a file.
#[derive(Debug, Default)]
pub(super) struct FileProblems(pub(super) Vec<String>);

impl FileProblems {
    pub(super) fn add(&mut self, place: &str, message: impl std::fmt::Display) {
        self.0.push(format!("{place}: {message}"));
    }
}

/// One table, and which of its keys are known.
pub(super) struct Fields<'a> {
    place: String,
    table: &'a Table,
    known: Vec<&'static str>,
    pub(super) problems: &'a mut FileProblems,
}

impl<'a> Fields<'a> {
    /// `None`, with a problem, for what is not a table.
    pub(super) fn new(place: String, value: &'a Value, problems: &'a mut FileProblems) -> Option<Self> {
        let table = value.as_table();
        if table.is_none() {
            problems.add(&place, "must be a table");
        }
        Some(Self { place, table: table?, known: Vec::new(), problems })
    }

    fn find(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Adds a problem of a key.
    pub(super) fn add(&mut self, key: &str, message: impl std::fmt::Display) {
        self.problems.add(&format!("{}.{key}", self.place), message);
    }

    fn convert<T>(&mut self, key: &'static str, must: &str, convert: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.find(key)?;
        let converted = convert(value);
        if converted.is_none() {
            self.add(key, format!("{must}, not {value}"));
        }
        converted
    }

    /// A text; a problem if it is absent.
    pub(super) fn required(&mut self, key: &'static str) -> Option<&'a str> {
        if !self.table.contains_key(key) {
            self.add(key, "is required");
        }
        self.text(key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.convert(key, "must be a text", Value::as_str)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        self.convert(key, "must be a list of texts", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.convert(key, "must be true or false", Value::as_bool).unwrap_or_default()
    }

    /// A number from `min` on.
    pub(super) fn number(&mut self, key: &'static str, min: u32) -> Option<u32> {
        let must = format!("must be a number from {min} to {}", u32::MAX);
        self.convert(key, &must, |value| u32::try_from(value.as_integer()?).ok().filter(|number| *number >= min))
    }

    /// A text with a format, such as a duration.
    pub(super) fn parsed<T: DeserializeOwned>(&mut self, key: &'static str, must: &str) -> Option<T> {
        self.convert(key, must, |value| value.is_str().then(|| value.clone().try_into().ok())?)
    }

    /// Reports the keys that were not asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys().filter(|key| !self.known.contains(&key.as_str())) {
            self.problems.add(&format!("{}.{key}", self.place), "is unknown");
        }
    }
}
