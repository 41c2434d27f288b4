//! Reads the objects of a document, and collects its problems.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{Ty, TypeDef};
use crate::yaml::{Key, Node, Position, Problem, Value};

/// Keys that say nothing about what is generated, in every object.
const ANNOTATIONS: &[&str] =
    &["description", "summary", "title", "example", "examples", "externalDocs", "deprecated", "$comment", "tags"];

/// A document that is read.
pub(crate) struct Reader<'a> {
    pub(super) root: &'a Node,
    /// Whether it is a JSON Schema, and not OpenAPI.
    pub(super) is_schema: bool,
    /// Whether it is OpenAPI 3.0, whose schemas differ from JSON Schema.
    pub(super) is_old: bool,
    pub(crate) problems: Vec<Problem>,
    /// The types with names.
    pub(crate) types: Vec<TypeDef>,
    /// Schemas that were read, by their reference; `None` while they are read.
    pub(super) known: BTreeMap<String, Option<Ty>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Node) -> Self {
        Self { root, is_schema: false, is_old: false, problems: Vec::new(), types: Vec::new(), known: BTreeMap::new() }
    }

    /// Returns nothing, in place of the value.
    pub(super) fn add<T>(&mut self, position: Position, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem { position, message: message.into() });
        None
    }

    /// The keys and values of an object, without extensions. Keys that are neither supported nor annotations are problems.
    pub(super) fn object(&mut self, node: &'a Node, what: &str, supported: &[&str]) -> Vec<(&'a Key, &'a Node)> {
        let Value::Map(entries) = &node.value else {
            self.add::<()>(node.position, format!("{what} must be an object"));
            return Vec::new();
        };
        for (key, _) in entries {
            let name = key.name.as_str();
            let is_root = self.is_schema && ["$schema", "$id", "$defs"].contains(&name);
            if !supported.contains(&name) && !ANNOTATIONS.contains(&name) && !name.starts_with("x-") && !is_root {
                self.add::<()>(key.position, format!("`{name}` of {what} is not supported"));
            }
        }
        entries
            .iter()
            .filter(|(key, _)| supported.contains(&key.name.as_str()))
            .map(|(key, node)| (key, node))
            .collect()
    }

    /// The entries of a map with free keys, without extensions.
    pub(super) fn entries(&mut self, node: &'a Node, what: &str) -> Vec<(&'a Key, &'a Node)> {
        let Value::Map(entries) = &node.value else {
            self.add::<()>(node.position, format!("{what} must be an object"));
            return Vec::new();
        };
        entries.iter().filter(|(key, _)| !key.name.starts_with("x-")).map(|(key, node)| (key, node)).collect()
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        if !matches!(node.value, Value::List(_)) {
            self.add::<()>(node.position, format!("{what} must be a list"));
        }
        node.elements()
    }

    /// A text.
    pub(super) fn text(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        match node.text() {
            Some(text) => Some(text),
            None => self.add(node.position, format!("{what} must be text")),
        }
    }

    /// A truth value of a key; false if it is absent.
    pub(super) fn flag(&mut self, node: &'a Node, key: &str) -> bool {
        let Some(value) = node.get(key) else { return false };
        match value.boolean() {
            Some(flag) => flag,
            None => self.add::<()>(value.position, format!("`{key}` must be true or false")).is_some(),
        }
    }

    /// A number of a key.
    pub(super) fn number<N: FromStr>(&mut self, node: &'a Node, key: &str) -> Option<N> {
        let value = node.get(key)?;
        match &value.value {
            Value::Scalar(text, true) if text.parse::<N>().is_ok() => text.parse().ok(),
            _ => self.add(value.position, format!("`{key}` must be a number in range")),
        }
    }

    /// Follows a reference to an object of a section of the components.
    pub(super) fn resolve(&mut self, node: &'a Node, section: &str) -> Option<&'a Node> {
        let Some(reference) = node.get("$ref") else { return Some(node) };
        if let Value::Map(entries) = &node.value {
            let others =
                entries.iter().filter(|(key, _)| key.name != "$ref" && !ANNOTATIONS.contains(&key.name.as_str()));
            for (key, _) in others {
                self.add::<()>(key.position, format!("`{}` next to `$ref` is not supported", key.name));
            }
        }
        let target = self.text(reference, "`$ref`")?;
        let folder = if self.is_schema { "#/$defs/".to_owned() } else { format!("#/components/{section}/") };
        let Some(name) = target.strip_prefix(&folder) else {
            return self.add(reference.position, format!("only references to `{folder}` are supported here"));
        };
        let found = if self.is_schema {
            self.root.get("$defs").and_then(|schemas| schemas.get(name))
        } else {
            self.root.get("components").and_then(|components| components.get(section)?.get(name))
        };
        match found {
            Some(found) if found.get("$ref").is_some() && section != "schemas" => {
                self.add(reference.position, "a reference to a reference is not supported")
            }
            Some(found) => Some(found),
            None => self.add(reference.position, format!("there is no `{target}`")),
        }
    }
}
