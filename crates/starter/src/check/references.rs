//! What the sections of `kennel.yaml` say about each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use super::applications::{applications, unused};
use super::events::events;
use super::names::is_reserved;
use super::servers::{command_lines, grpc, rest};
use super::workers::{drivers, workers};
use crate::config::{Config, GrpcKind, RestKind, WorkerKind};
use crate::yaml::{Node, Value};

pub(super) fn check(root: &Node, config: &Config, problems: &mut Problems) {
    platform(root, config, problems);
    entity(root, config, problems);
    let ports = rest(root, config, problems);
    grpc(root, config, ports, problems);
    events(root, config, problems);
    command_lines(root, config, problems);
    // Those whose modules are in one crate.
    unique(root, &["rest", "grpc", "cli"], problems);
    unique(root, &["rest", "jsonschema"], problems);
    unique(root, &["rest", "kafka"], problems);
    unique(root, &["kafka", "worker"], problems);
    if config.worker_kind(WorkerKind::Queue).next().is_some() || !config.driver.is_empty() {
        unique(root, &["rest", "kafka", "worker", "driver"], problems);
    }
    fields(root, config, problems);
    workers(root, config, problems);
    drivers(root, config, problems);
    unique(root, &["applications"], problems);
    duplicates(root.get("storage"), problems);
    duplicates(root.get("main").and_then(|main| main.get("ci")), problems);
    applications(root, config, problems);
    super::surroundings::check(root, config, problems);
    let lists = [
        ("rest", "transport"),
        ("grpc", "transport"),
        ("kafka", "kafka"),
        ("worker", "worker"),
        ("cli", "cli"),
        ("driver", "driver"),
    ];
    for (section, used) in lists {
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
        let is_given = key == "name" || node.get(key).is_some() || !is_reserved(&config.entity.name);
        if is_given && is_reserved(name) {
            problems.add::<()>(position, format!("`{name}` has another meaning in the generated code"));
        }
    }
    if config.entity.name == plural {
        problems.add::<()>(node.position, "`name` and `plural` must differ");
    }
}

/// The text of a scalar with its node.
pub(super) fn text(node: &Node) -> Option<(&str, &Node)> {
    if let Value::Scalar(text, _) = &node.value { Some((text, node)) } else { None }
}

/// The names of the entries of a section.
pub(super) fn names<'a>(root: &'a Node, section: &str) -> Vec<(&'a str, &'a Node)> {
    let entries = root.get(section).map(Node::elements).unwrap_or_default();
    entries.iter().filter_map(|entry| text(entry.get("name")?)).collect()
}

/// What is a field of an application or of its settings.
fn fields(root: &Node, config: &Config, problems: &mut Problems) {
    let http = config.rest_kind(RestKind::OpenapiClient).map(|rest| &rest.name);
    let grpc = config.grpc_kind(GrpcKind::ProtoClient).map(|grpc| &grpc.name);
    let bots = config.worker_kind(WorkerKind::Telegram).map(|worker| &worker.name);
    let queues = config.worker_kind(WorkerKind::Queue).map(|worker| &worker.name);
    let fields = [
        ("rest", http.collect::<BTreeSet<_>>()),
        ("grpc", grpc.collect()),
        ("worker", bots.chain(queues).collect()),
        ("driver", config.driver.iter().map(|driver| &driver.name).collect()),
    ];
    let is_field = |(section, fields): &(&str, BTreeSet<&String>)| {
        let all = names(root, section).into_iter();
        all.filter(|(name, _)| fields.iter().any(|field| field == name)).collect::<Vec<_>>()
    };
    distinct(fields.iter().flat_map(is_field), problems);
}

fn unique(root: &Node, sections: &[&str], problems: &mut Problems) {
    distinct(sections.iter().flat_map(|section| names(root, section)), problems);
}

fn distinct<'n>(names: impl Iterator<Item = (&'n str, &'n Node)>, problems: &mut Problems) {
    let mut first = BTreeMap::new();
    for (name, node) in names {
        if let Some(line) = first.insert(name, node.position.line) {
            problems.add::<()>(node.position, format!("the name `{name}` is already used in line {line}"));
        }
    }
}

pub(super) fn duplicates(list: Option<&Node>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (value, node) in list.map(Node::elements).unwrap_or_default().iter().filter_map(text) {
        if !seen.insert(value) {
            problems.add::<()>(node.position, format!("`{value}` is listed twice"));
        }
    }
}
