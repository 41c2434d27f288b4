//! Prints the effective settings.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::field::Field;
use crate::problem::Problems;
use crate::secret::REDACTED;

/// A section for printing.
#[derive(Debug, Clone)]
pub(crate) struct PrintedSection {
    pub(crate) title: String,
    /// Prefix of the keys, such as `notes_`; may be empty.
    scope: String,
    pub(crate) fields: Vec<Field>,
    /// One for each field: its value as TOML, if any, and its origin.
    lines: Vec<(Option<String>, String)>,
}

impl PrintedSection {
    pub(crate) fn new(
        title: String,
        scope: &str,
        section: &impl Serialize,
        fields: Vec<Field>,
        problems: &Problems,
    ) -> Self {
        let values = serde_json::to_value(section).unwrap_or_default();
        let line = |field: &Field| {
            let value = values.get(&field.name).filter(|value| !value.is_null());
            let shown = value.map(|value| if field.secret { literal(&REDACTED.into()) } else { literal(value) });
            (shown, problems.source(&field.key).map_or_else(|| "default".to_owned(), ToString::to_string))
        };
        let lines = fields.iter().map(line).collect();
        Self { title, scope: scope.to_owned(), fields, lines }
    }
}

impl fmt::Display for PrintedSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = &self.scope;
        match scope.trim_end_matches('_') {
            "" => writeln!(f, "# {}", self.title)?,
            service => writeln!(f, "# {}, {service}", self.title)?,
        }
        for (field, (value, origin)) in self.fields.iter().zip(&self.lines) {
            match value {
                Some(value) => writeln!(f, "{scope}{} = {value} # {origin}", field.key)?,
                None => writeln!(f, "# {scope}{} is not set", field.key)?,
            }
        }
        Ok(())
    }
}

/// Formats a JSON value as TOML.
pub(crate) fn literal(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string())
}
