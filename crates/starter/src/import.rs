//! `kennel import go-project-starter`: reads a `project.yaml` of go-project-starter, and writes a `kennel.yaml`.
//!
//! Everything in the file is either in the result, or there is a [`Finding`] about it.

mod applications;
mod events;
mod keys;
mod output;
mod transports;

use std::fmt;

use crate::spec::{self, Key, Kind};
use crate::yaml::{self, Node, Position, Problem, Value};
use crate::{check, words};
use output::Out;

/// The result of an import.
#[derive(Debug)]
pub struct Import {
    /// The text of a `kennel.yaml`, without `platform`.
    pub text: String,
    /// What differs, in the order of the positions.
    pub findings: Vec<Finding>,
    /// What is wrong in the result.
    pub problems: Vec<Problem>,
}

/// Something that is not in the result as it was in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it is in the file, and what it means.
    pub problem: Problem,
    /// Whether nothing in the result does the same, so that somebody has to decide what to do.
    pub is_lost: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { position, message } = &self.problem;
        let level = if self.is_lost { "problem" } else { "note" };
        write!(f, "{}:{}: {level}: {message}", position.line, position.column)
    }
}

/// Maps a `project.yaml`. It is an error if the text is not YAML, or uses anchors or tags.
pub fn go_project_starter(text: &str) -> Result<Import, Vec<Problem>> {
    let root = yaml::parse(text)?;
    let Value::Map(_) = &root.value else {
        return Err(vec![Problem { position: root.position, message: "must be a section with keys".to_owned() }]);
    };
    let mut importer = Importer::default();
    keys::check(&root, "", &mut importer);
    let text = importer.project(&root).to_string();
    importer.findings.sort();
    importer.findings.dedup();
    let problems = check::read(&format!("{text}platform: {{git: url, rev: commit}}\n")).err().unwrap_or_default();
    Ok(Import { text, findings: importer.findings, problems })
}

/// What was found while reading.
#[derive(Default)]
struct Importer {
    findings: Vec<Finding>,
    /// The sections and names of entries for which none is needed here.
    built_in: Vec<(&'static str, String)>,
}

impl Importer {
    fn add(&mut self, position: Position, message: impl Into<String>, is_lost: bool) {
        self.findings.push(Finding { problem: Problem { position, message: message.into() }, is_lost });
    }

    /// Something works in another way.
    fn note(&mut self, node: &Node, message: impl Into<String>) {
        self.add(node.position, message, false);
    }

    /// Nothing does the same.
    fn lost(&mut self, node: &Node, message: impl Into<String>) {
        self.add(node.position, message, true);
    }

    fn project(&mut self, root: &Node) -> Out {
        let mut out = Out::default();
        out.comment("Imported from a project.yaml of go-project-starter.");
        out.section("main", self.main(root));
        // Required here; there is nothing like it in the file.
        let entity = Out::flow([("name", "item".to_owned())]);
        self.add(Position { line: 1, column: 1 }, "there is no entity in the file: `item` is a placeholder", false);
        out.section("entity", entity);
        if root.get("main").and_then(|main| main.get("use_active_record")).and_then(Node::boolean) == Some(true) {
            out.list("storage", vec![Out::text("postgres")]);
        }
        let rest = elements(root, "rest").iter().filter_map(|node| self.rest(node)).collect();
        out.list("rest", rest);
        let grpc = elements(root, "grpc").iter().filter_map(|node| self.grpc(node)).collect();
        out.list("grpc", grpc);
        let schemas = elements(root, "jsonschema").iter().filter_map(|node| self.schemas(node)).collect();
        out.list("jsonschema", schemas);
        let kafka = elements(root, "kafka").iter().filter_map(|node| self.kafka(node)).collect();
        out.list("kafka", kafka);
        let commands = elements(root, "cli").iter().filter_map(|node| self.cli(node)).collect();
        out.list("cli", commands);
        let drivers = elements(root, "driver").iter().filter_map(|node| self.driver(root, node)).collect();
        out.list("driver", drivers);
        let workers = either(root, "worker", "workers").filter_map(|node| self.worker(node)).collect();
        out.list("worker", workers);
        let applications = elements(root, "applications").iter().filter_map(|node| self.application(node)).collect();
        out.list("applications", applications);
        out
    }

    fn main(&mut self, root: &Node) -> Out {
        let mut out = Out::default();
        let main = root.get("main");
        match main.and_then(|main| main.get("name")) {
            Some(node) => out.optional("name", self.name(node)),
            None => self.lost(main.unwrap_or(root), "`main.name` is missing"),
        }
        // Without the key, the file asks for both.
        let ci = main.and_then(|main| main.get("ci"));
        let providers: Vec<_> = match ci {
            Some(list) => list.elements().iter().filter_map(Node::text).map(Out::text).collect(),
            None => ["github", "gitlab"].map(Out::text).into(),
        };
        out.list("ci", providers);
        out
    }

    /// A name as `kennel.yaml` requires it.
    fn name(&mut self, node: &Node) -> Option<String> {
        let Some(text) = node.text() else {
            self.lost(node, "a name must be text");
            return None;
        };
        let name = words::kebab(text);
        if name != text {
            self.note(node, format!("`{text}` is called `{name}` here"));
        }
        Some(name)
    }

    /// The name of an entry.
    fn name_of(&mut self, node: &Node) -> Option<String> {
        if let Some(name) = node.get("name") {
            return self.name(name);
        }
        self.lost(node, "the entry has no `name`, and is left out");
        None
    }

    /// A document: a path in the folder of `kennel.yaml`. The file can have a list of them.
    fn path(&mut self, entry: &Node) -> Option<String> {
        let path = entry.get("path")?;
        let (first, others) = match path.elements() {
            [] => (path, &[][..]),
            [first, others @ ..] => (first, others),
        };
        for other in others {
            self.lost(other, "an entry has one document here: make another entry for this one, or join them");
        }
        let text = first.text()?;
        if text.contains("://") {
            self.lost(first, format!("documents are files of the project: save {text} in it, and write its path"));
        }
        let path = text.trim_start_matches("./");
        if path.starts_with("..") || path.starts_with('/') {
            self.lost(first, format!("documents are in the folder of `kennel.yaml`: move {text} there"));
        }
        Some(path.to_owned())
    }
}

fn elements<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map(Node::elements).unwrap_or_default()
}

/// The elements under a key, and under the one that the documentation of go-project-starter has for it.
fn either<'n>(node: &'n Node, key: &str, documented: &str) -> impl Iterator<Item = &'n Node> {
    elements(node, key).iter().chain(elements(node, documented))
}

/// The keys of a section of `kennel.yaml`.
fn section(path: &str) -> &'static [Key] {
    let Kind::Section(mut keys) = spec::ROOT else { return &[] };
    for name in path.split('.') {
        keys = match keys.iter().find(|key| key.name == name).map(|key| key.kind) {
            Some(Kind::Section(keys) | Kind::List(&Kind::Section(keys), _)) => keys,
            _ => return &[],
        };
    }
    keys
}

/// Whether `kennel.yaml` has a key in a section, and the value, if it is one of a choice.
fn supports(path: &str, key: &str, value: Option<&str>) -> bool {
    let Some(key) = section(path).iter().find(|known| known.name == key) else { return false };
    match (key.kind, value) {
        (Kind::Choice(choices), Some(value)) => choices.iter().any(|choice| choice.value == value),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
