//! What the sections of `kennel.yaml` say about each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problems, hint};
use crate::config::Config;
use crate::yaml::{Node, Value};

/// Names that an entity cannot have: keywords, and what the generated code calls something else.
const RESERVED: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "after",
    "api",
    "arc",
    "at",
    "body",
    "box",
    "chain",
    "char",
    "clock",
    "codec",
    "column",
    "columns",
    "component",
    "config",
    "context",
    "count",
    "create",
    "created",
    "cursor",
    "database",
    "delete",
    "deleted",
    "details",
    "document",
    "domain",
    "engine",
    "error",
    "event",
    "events",
    "exists",
    "folder",
    "format",
    "found",
    "get",
    "grpc",
    "handler",
    "http",
    "id",
    "ids",
    "index",
    "insert",
    "item_source",
    "json",
    "key",
    "kind",
    "limit",
    "list",
    "message",
    "metrics",
    "migration",
    "migrations",
    "millis",
    "name",
    "number",
    "option",
    "order",
    "page",
    "pages",
    "path",
    "pb",
    "process",
    "proto",
    "query",
    "range",
    "read",
    "receipt",
    "record",
    "registry",
    "repo",
    "repository",
    "request",
    "response",
    "result",
    "route",
    "router",
    "routes",
    "row",
    "rows",
    "rpc",
    "select",
    "self",
    "send",
    "server",
    "service",
    "size",
    "source",
    "span",
    "state",
    "status",
    "stop",
    "storage",
    "store",
    "stored",
    "story",
    "stream",
    "string",
    "sys",
    "table",
    "test",
    "text",
    "time",
    "timestamp",
    "token",
    "topic",
    "trace",
    "unknown",
    "user",
    "uuid",
    "value",
    "variable",
    "variables",
    "vec",
    "version",
    "worker",
    "write",
];

/// Crates that the generated code names: another crate, or a module that it imports, would hide them.
const FOREIGN: &[&str] = &[
    "alloc",
    "anyhow",
    "async-trait",
    "core",
    "proc-macro",
    "reqwest",
    "rustls",
    "serde",
    "serde-json",
    "std",
    "tempfile",
    "test",
    "tokio",
    "tonic",
    "tracing",
];

/// Suffixes of the project's own crates.
const CRATES: &[&str] = &["domain", "storages", "proto", "transport", "workers"];

pub(super) fn check(root: &Node, config: &Config, problems: &mut Problems) {
    platform(root, config, problems);
    entity(root, config, problems);
    for section in ["rest", "grpc"] {
        if let [_, second, ..] = root.get(section).map(Node::elements).unwrap_or_default() {
            problems.add::<()>(second.position, format!("only one entry of `{section}` is generated yet; remove it"));
        }
    }
    unique(root, &["rest", "grpc"], problems);
    // Their modules are in one crate.
    unique(root, &["kafka", "worker"], problems);
    for (name, node) in names(root, "kafka").into_iter().chain(names(root, "worker")) {
        if is_foreign(name) || is_own(name, &config.main.name) {
            problems.add::<()>(node.position, format!("`{name}` is the name of a crate that the generated code uses"));
        } else if RESERVED.contains(&name) || ["lib", "str"].contains(&name) {
            problems.add::<()>(node.position, format!("`{name}` has another meaning in the generated code"));
        }
    }
    unique(root, &["applications"], problems);
    duplicates(root.get("storage"), problems);
    duplicates(root.get("main").and_then(|main| main.get("ci")), problems);
    applications(root, config, problems);
    for (section, used) in [("rest", "transport"), ("grpc", "transport"), ("kafka", "kafka"), ("worker", "worker")] {
        unused(root, section, used, problems);
    }
}

fn platform(root: &Node, config: &Config, problems: &mut Problems) {
    let Some(node) = root.get("platform") else { return };
    let platform = &config.platform;
    let given = [platform.path.is_some(), platform.git.is_some(), platform.workspace];
    if given.into_iter().filter(|given| *given).count() != 1 {
        problems.add::<()>(node.position, "must have exactly one of `path`, `git` and `workspace`");
    }
    if platform.git.is_some() != platform.rev.is_some() {
        problems.add::<()>(node.position, "`git` and `rev` are only valid together");
    }
    if config.platform.workspace && !config.main.ci.is_empty() {
        let ci = root.get("main").and_then(|main| main.get("ci")).unwrap_or(node);
        problems.add::<()>(ci.position, "a project in another workspace has no CI of its own; remove it");
    }
    if platform.path.as_ref().is_some_and(|path| path.starts_with(['.', '/'])) && !config.main.ci.is_empty() {
        let ci = root.get("main").and_then(|main| main.get("ci")).unwrap_or(node);
        problems
            .add::<()>(ci.position, "CI needs `platform.git`: the folder of `platform.path` is only on this machine");
    }
}

fn entity(root: &Node, config: &Config, problems: &mut Problems) {
    let Some(node) = root.get("entity") else { return };
    let plural = config.entity.plural();
    for (key, name) in [("name", &config.entity.name), ("plural", &plural)] {
        let Some(position) = node.get(key).or(node.get("name")).map(|node| node.position) else { continue };
        let is_given = key == "name" || node.get(key).is_some() || !RESERVED.contains(&config.entity.name.as_str());
        if is_given && RESERVED.contains(&name.as_str()) {
            problems.add::<()>(position, format!("`{name}` has another meaning in the generated code"));
        }
    }
    if config.entity.name == plural {
        problems.add::<()>(node.position, "`name` and `plural` must differ");
    }
}

/// The text of a scalar with its node.
fn text(node: &Node) -> Option<(&str, &Node)> {
    if let Value::Scalar(text, _) = &node.value { Some((text, node)) } else { None }
}

/// The names of the entries of a section.
fn names<'a>(root: &'a Node, section: &str) -> Vec<(&'a str, &'a Node)> {
    let entries = root.get(section).map(Node::elements).unwrap_or_default();
    entries.iter().filter_map(|entry| text(entry.get("name")?)).collect()
}

fn unique(root: &Node, sections: &[&str], problems: &mut Problems) {
    let mut first = BTreeMap::new();
    for (name, node) in sections.iter().flat_map(|section| names(root, section)) {
        if let Some(line) = first.insert(name, node.position.line) {
            problems.add::<()>(node.position, format!("the name `{name}` is already used in line {line}"));
        }
    }
}

fn duplicates(list: Option<&Node>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (value, node) in list.map(Node::elements).unwrap_or_default().iter().filter_map(text) {
        if !seen.insert(value) {
            problems.add::<()>(node.position, format!("`{value}` is listed twice"));
        }
    }
}

/// The names that an application refers to by one of its lists.
fn references<'a>(application: &'a Node, list: &str) -> Vec<(&'a str, &'a Node)> {
    let elements = application.get(list).map(Node::elements).unwrap_or_default();
    elements.iter().filter_map(|element| text(element.get("name").unwrap_or(element))).collect()
}

fn applications(root: &Node, config: &Config, problems: &mut Problems) {
    for application in root.get("applications").map(Node::elements).unwrap_or_default() {
        let lists = [("transport", &["rest", "grpc"][..]), ("kafka", &["kafka"]), ("worker", &["worker"])];
        for (list, sections) in lists {
            let known: Vec<_> =
                sections.iter().flat_map(|section| names(root, section)).map(|(name, _)| name).collect();
            let mut seen = BTreeSet::new();
            for (name, node) in references(application, list) {
                if !known.contains(&name) {
                    problems.add::<()>(node.position, format!("unknown {list} `{name}`{}", hint(name, &known)));
                } else if !seen.insert(name) {
                    problems.add::<()>(node.position, format!("`{name}` is listed twice"));
                }
            }
        }
        if ["transport", "kafka", "worker"].iter().all(|list| references(application, list).is_empty()) {
            problems.add::<()>(application.position, "needs at least one transport, consumer or worker");
        }
    }
    let project = &config.main.name;
    for (name, node) in names(root, "applications") {
        if is_own(name, project) {
            problems.add::<()>(node.position, format!("`{name}` is the name of another crate of the project"));
        }
        if is_foreign(name) {
            problems.add::<()>(node.position, format!("`{name}` is the name of a crate that the generated code uses"));
        }
    }
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || name.starts_with("kennel")
}

/// Whether the project has another crate of this name.
fn is_own(name: &str, project: &str) -> bool {
    name.strip_prefix(project).and_then(|rest| rest.strip_prefix('-')).is_some_and(|suffix| CRATES.contains(&suffix))
}

/// What is listed has to be used: a forgotten reference is not a program without a server.
fn unused(root: &Node, section: &str, list: &str, problems: &mut Problems) {
    let applications = root.get("applications").map(Node::elements).unwrap_or_default();
    let used: BTreeSet<_> = applications.iter().flat_map(|node| references(node, list)).map(|(name, _)| name).collect();
    for (name, node) in names(root, section) {
        if !used.contains(name) {
            problems.add::<()>(node.position, format!("no application uses `{name}`"));
        }
    }
}
