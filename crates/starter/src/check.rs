//! Compares `kennel.yaml` with the table in [`spec`], and its sections with each other.

mod applications;
mod events;
mod names;
mod references;
mod servers;
mod surroundings;
mod workers;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::config::Config;
use crate::spec::{self, Key, Kind};
use crate::yaml::{self, Node, Position, Problem, Value};

/// Reads a configuration. Returns all problems of the text, in the order of their positions.
pub fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let root = yaml::parse(text)?;
    let mut problems = Problems::default();
    let json = problems.value(&root, "", &spec::ROOT);
    // Sections that are invalid by themselves cannot be compared with each other.
    let config = json.filter(|_| problems.0.is_empty()).and_then(|json| match serde_json::from_value(json) {
        Ok(config) => Some(config),
        Err(error) => problems.add(root.position, error.to_string()),
    });
    if let Some(config) = &config {
        references::check(&root, config, &mut problems);
    }
    match config {
        Some(config) if problems.0.is_empty() => Ok(config),
        _ => {
            problems.0.sort();
            problems.0.dedup();
            Err(problems.0)
        }
    }
}

/// Reads a file next to `kennel.yaml`. Returns its root for further checks, and its values.
pub(crate) fn read_file<T: DeserializeOwned>(text: &str, kind: &Kind) -> Result<(Node, T), Vec<Problem>> {
    let root = yaml::parse(text)?;
    let mut problems = Problems::default();
    let Some(json) = problems.value(&root, "", kind) else {
        problems.0.sort();
        return Err(problems.0);
    };
    match serde_json::from_value(json) {
        Ok(values) => Ok((root, values)),
        Err(error) => Err(vec![Problem { position: root.position, message: error.to_string() }]),
    }
}

/// The problems that were found.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    /// Returns nothing, in place of the invalid value.
    fn add<T>(&mut self, position: Position, message: impl Into<String>) -> Option<T> {
        self.0.push(Problem { position, message: message.into() });
        None
    }

    /// The value as JSON, with defaults. `path` is that of its section, without indexes.
    fn value(&mut self, node: &Node, path: &str, kind: &Kind) -> Option<Json> {
        match (kind, &node.value) {
            (Kind::Section(keys), Value::Map(entries)) => self.section(node.position, entries, path, keys),
            (Kind::List(element, at_least), Value::List(elements)) => {
                if elements.len() < *at_least {
                    return self.add(node.position, format!("must have at least {at_least} element"));
                }
                let read: Vec<_> = elements.iter().map(|node| self.value(node, path, element)).collect();
                read.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
            }
            (Kind::Section(_) | Kind::List(..), _) | (_, Value::List(_) | Value::Map(_)) => {
                self.add(node.position, format!("must be {}", expected(kind)))
            }
            (_, Value::Scalar(text, plain)) => match scalar(kind, text, *plain) {
                Ok(json) => Some(json),
                Err(message) => self.add(node.position, message),
            },
        }
    }

    fn section(
        &mut self,
        position: Position,
        entries: &[(yaml::Key, Node)],
        path: &str,
        keys: &'static [Key],
    ) -> Option<Json> {
        let mut fields = Map::new();
        let before = self.0.len();
        for (key, node) in entries {
            let Some(known) = keys.iter().find(|known| known.name == key.name) else {
                let message = unknown(&key.name, path, keys);
                self.0.push(Problem { position: key.position, message });
                continue;
            };
            let below = if path.is_empty() { known.name.to_owned() } else { format!("{path}.{}", known.name) };
            if let Some(json) = self.value(node, &below, &known.kind) {
                fields.insert(key.name.clone(), json);
            }
        }
        for key in keys.iter().filter(|key| key.required) {
            if !entries.iter().any(|(entry, _)| entry.name == key.name) {
                self.0.push(Problem { position, message: format!("`{}` is missing: {}", key.name, summary(key)) });
            }
        }
        (self.0.len() == before).then_some(Json::Object(fields))
    }
}

/// The first sentence of a key's documentation, as the end of a message.
fn summary(key: &Key) -> String {
    let sentence = key.doc.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn unknown(name: &str, path: &str, keys: &[Key]) -> String {
    let planned = spec::PLANNED.iter().any(|(section, names)| *section == path && names.contains(&name));
    if planned {
        return format!("nothing is generated for `{name}` yet; remove it");
    }
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    format!("unknown key `{name}`{}", hint(name, &names))
}

/// The nearest of `names`, or all of them.
pub(crate) fn hint(name: &str, names: &[&str]) -> String {
    match nearest(name, names) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => "; there are none".to_owned(),
        None => format!("; must be one of {}", names.join(", ")),
    }
}

/// The most similar name, if it is similar enough for a misspelling.
pub(crate) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let similar = names.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known));
    let (distance, near) = similar.min()?;
    (distance <= 1.max(name.chars().count() / 3)).then_some(near)
}

/// What a value has to be, in words.
pub(crate) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text in one line".to_owned(),
        Kind::Name => "lower-case words joined by `-`, such as `shop-api`".to_owned(),
        Kind::Word => "lower-case words joined by `_`, such as `order_line`".to_owned(),
        Kind::Duration => "a duration such as `30s`, `5m` or `1h`".to_owned(),
        Kind::True => "`true`".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Scalar => "a text, a number, `true` or `false`, in one line".to_owned(),
        Kind::Integer(from, to) => format!("a whole number from {from} to {to}"),
        Kind::Choice(choices) => {
            format!("one of {}", choices.iter().map(|choice| choice.value).collect::<Vec<_>>().join(", "))
        }
        Kind::List(..) => "a list".to_owned(),
        Kind::Section(_) => "a section with keys".to_owned(),
    }
}

pub(crate) fn scalar(kind: &Kind, text: &str, plain: bool) -> Result<Json, String> {
    let is_null = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    let valid = !is_null
        && match kind {
            Kind::Text => !text.trim().is_empty() && !text.chars().any(char::is_control),
            Kind::Name => is_name(text, '-'),
            Kind::Word => is_name(text, '_'),
            Kind::Duration => is_duration(text),
            Kind::True => plain && text == "true",
            Kind::Boolean => plain && matches!(text, "true" | "false"),
            Kind::Scalar => !text.chars().any(char::is_control),
            Kind::Integer(from, to) => {
                return match text.parse::<u32>() {
                    Ok(number) if plain && (*from..=*to).contains(&number) && !text.starts_with(['+', '0']) => {
                        Ok(Json::from(number))
                    }
                    _ => Err(format!("must be {}", expected(kind))),
                };
            }
            Kind::Choice(choices) => {
                let known: Vec<_> = choices.iter().map(|choice| choice.value).collect();
                if known.contains(&text) {
                    true
                } else if spec::PLANNED_VALUES.contains(&text) {
                    return Err(format!("nothing is generated for `{text}` yet; must be {}", expected(kind)));
                } else {
                    return Err(format!("unknown value `{text}`{}", hint(text, &known)));
                }
            }
            Kind::List(..) | Kind::Section(_) => false,
        };
    match kind {
        _ if !valid => Err(format!("must be {}", expected(kind))),
        Kind::True | Kind::Boolean => Ok(Json::Bool(text == "true")),
        _ => Ok(Json::from(text)),
    }
}

/// Whether the text has the pattern of [`spec::NAME_PATTERN`] or [`spec::WORD_PATTERN`], and an allowed length.
fn is_name(text: &str, separator: char) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit());
    text.len() <= spec::MAX_NAME
        && text.starts_with(|char: char| char.is_ascii_lowercase())
        && text.split(separator).all(is_word)
}

pub(crate) fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix(['s', 'm', 'h']) else { return false };
    number.len() <= 5
        && !number.starts_with('0')
        && number.parse::<u32>().is_ok_and(|number| number > 0)
        && number.chars().all(|char| char.is_ascii_digit())
}

#[cfg(test)]
mod tests;
