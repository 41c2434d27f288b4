//! Generates the reference of a service's settings.

use crate::field::Field;
use crate::loader::{Settings, sections};
use crate::print::literal;

/// Returns a Markdown table for each section: variable, type, default, description.
pub fn reference<S: Settings>() -> String {
    let tables = sections::<S>().into_iter().map(|section| {
        let rows: String = section.fields.iter().map(row).collect();
        format!("## {}\n\n{HEADER}{rows}", section.title)
    });
    tables.collect::<Vec<_>>().join("\n")
}

const HEADER: &str = "| variable | value | default | meaning |\n|---|---|---|---|\n";

fn row(field: &Field) -> String {
    let name = format!("`{}`", field.variable);
    let name = if field.secret { format!("{name}, `{}_FILE`", field.variable) } else { name };
    let value = if field.secret { "secret text".to_owned() } else { field.kind.describe() };
    let default = field.default.as_ref().filter(|_| !field.secret);
    let default = default.map(plain).filter(|text| !text.is_empty());
    let default = default.map_or_else(|| "none".to_owned(), |text| format!("`{text}`"));
    format!("| {name} | {} | {} | {} |\n", cell(&value), cell(&default), cell(&field.description))
}

/// Formats a value as in a variable: without quotes.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => literal(other),
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
