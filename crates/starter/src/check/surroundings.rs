//! The sections about what is around the programs.

use std::collections::BTreeSet;

use super::Problems;
use crate::config::{Application, Config};
use crate::yaml::Node;

pub(super) fn check(root: &Node, config: &Config, problems: &mut Problems) {
    datasources(root, config, problems);
    let helm = root.get("deploy").and_then(|deploy| deploy.get("helm"));
    if let Some(node) = helm.filter(|_| config.storage == ["sqlite"]) {
        problems.add::<()>(node.position, "a chart needs a store with a server; add one to `storage`");
    }
    if let Some(node) = helm.filter(|_| config.services().next().is_none()) {
        problems.add::<()>(node.position, "a chart needs an application that is not a command line");
    }
    packages(root, config, problems);
    super::references::duplicates(root.get("post_generate"), problems);
}

fn packages(root: &Node, config: &Config, problems: &mut Problems) {
    let nodes = root.get("applications").map(Node::elements).unwrap_or_default();
    let artifacts: Vec<_> = nodes.iter().filter_map(|node| node.get("artifacts")).collect();
    for node in &artifacts {
        super::references::duplicates(Some(node), problems);
    }
    for (app, node) in config.applications.iter().zip(nodes) {
        if let Some(node) = node.get("artifacts") {
            ports(node, config, app, problems);
            if app.cli.is_some() {
                problems.add::<()>(node.position, "a command line has no packages");
            }
        }
    }
    let mut packaged = artifacts.iter().filter(|node| !node.elements().is_empty());
    if let Some(node) = packaged.nth(1).filter(|_| config.storage == ["sqlite"]) {
        let message = "packages do not share a file of SQLite; add a store with a server to `storage`";
        problems.add::<()>(node.position, message);
    }
    let has_packages = config.applications.iter().any(|app| !app.artifacts.is_empty());
    match (root.get("packaging"), artifacts.first()) {
        (None, Some(node)) if has_packages => {
            problems.add::<()>(node.position, "packages need the section `packaging`");
        }
        (Some(node), _) if !has_packages => {
            problems.add::<()>(node.position, "no application has `artifacts`");
        }
        _ => {}
    }
}

/// Units have no capabilities.
fn ports(node: &Node, config: &Config, app: &Application, problems: &mut Problems) {
    let has_unit = app.artifacts.iter().any(|format| format != "apk");
    let servers = [config.rest_of(app).map(|rest| rest.port), config.grpc_of(app).map(|grpc| grpc.port)];
    for port in servers.into_iter().flatten().filter(|port| has_unit && *port < 1024) {
        problems.add::<()>(node.position, format!("a unit may not listen on the port {port}; use one above 1023"));
    }
}

fn datasources(root: &Node, config: &Config, problems: &mut Problems) {
    let nodes = root.get("grafana").and_then(|grafana| grafana.get("datasources")).map(Node::elements);
    let mut kinds = BTreeSet::new();
    let sources = config.grafana.iter().flat_map(|grafana| &grafana.datasources);
    for (source, node) in sources.zip(nodes.unwrap_or_default()) {
        let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
        if !kinds.insert(&source.kind) {
            problems.add::<()>(at("type"), format!("there is already a data source of the type `{}`", source.kind));
        }
        if !source.url.starts_with("http://") && !source.url.starts_with("https://") {
            problems.add::<()>(at("url"), "must start with `http://` or `https://`");
        }
    }
}
