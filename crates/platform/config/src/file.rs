//! Parses the TOML file.

use std::ops::Range;

use toml::de::{DeTable, Error};

use crate::layer::Layer;
use crate::problem::Problems;
use crate::raw::{Origin, Raw, Source};

/// Parses flat settings and reports syntax errors by line. `path` is the file's name in problems.
pub(crate) fn parse(path: &str, text: &str, problems: &mut Problems) -> Layer {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // The error's own `Display` quotes the line, which may contain a secret.
        problems.add_at(&location(path, text, error.span()), format!("is not TOML: {}", first_line(error)));
    }
    let mut layer = Layer::default();
    let Ok(values) = toml::from_str::<toml::Table>(text) else { return layer };
    for key in table.get_ref().keys() {
        let (name, line) = (key.get_ref().to_string(), line_at(text, key.span().start));
        let Some(value) = values.get(&name) else { continue };
        let origin = Origin::Line { path: path.to_owned(), line };
        layer.insert(name.clone(), Raw::Toml(value.clone()), Source { name, origin });
    }
    layer
}

fn first_line(error: &Error) -> &str {
    error.message().lines().next().unwrap_or_default()
}

fn location(path: &str, text: &str, span: Option<Range<usize>>) -> String {
    span.map_or_else(|| path.to_owned(), |span| format!("{path}:{}", line_at(text, span.start)))
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}
