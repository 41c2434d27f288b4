//! Applications: what each has, and that everything is used.

use std::collections::BTreeSet;

use super::names::{is_foreign, is_own};
use super::references::{names, text};
use super::{Problems, hint};
use crate::config::{Application, Config, Grpc, GrpcKind, Kafka, KafkaKind, Rest, RestKind, WorkerKind};
use crate::yaml::{Node, Value};

pub(super) fn applications(root: &Node, config: &Config, problems: &mut Problems) {
    let nodes = root.get("applications").map(Node::elements).unwrap_or_default();
    for (application, known) in nodes.iter().zip(&config.applications) {
        transports(application, known, config, problems);
        for list in ["transport", "kafka", "worker", "cli", "driver", "queue"] {
            let known = candidates(root, config, list);
            let mut seen = BTreeSet::new();
            for (name, node) in references(application, list) {
                if !known.contains(&name) {
                    problems.add::<()>(node.position, format!("unknown {list} `{name}`{}", hint(name, &known)));
                } else if !seen.insert(name) {
                    problems.add::<()>(node.position, format!("`{name}` is listed twice"));
                }
            }
        }
        let is_empty = ["transport", "kafka", "worker"].iter().all(|list| references(application, list).is_empty());
        match references(application, "cli").first() {
            None if is_empty => {
                problems
                    .add::<()>(application.position, "needs at least one transport, consumer or worker, or a `cli`");
            }
            Some((_, node)) if !is_empty => {
                problems.add::<()>(node.position, "a command line has no transports, consumers and workers");
            }
            _ => {}
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

/// The names that a list of an application may contain.
fn candidates<'a>(root: &'a Node, config: &Config, list: &str) -> Vec<&'a str> {
    let is_queue = |name: &str| config.worker_kind(WorkerKind::Queue).any(|worker| worker.name == name);
    let sections = match list {
        "transport" => vec!["rest", "grpc"],
        "queue" => vec!["worker"],
        _ => vec![list],
    };
    let all = sections.into_iter().flat_map(|section| names(root, section)).map(|(name, _)| name);
    all.filter(|name| list != "queue" || is_queue(name)).collect()
}

/// The servers and clients that an application has together.
fn transports(application: &Node, known: &Application, config: &Config, problems: &mut Problems) {
    let rest = config.rest.iter().filter(|rest| rest.generator_type != RestKind::OpenapiClient);
    let grpc = config.grpc.iter().filter(|grpc| grpc.generator_type != GrpcKind::ProtoClient);
    let rest: Vec<_> = rest.map(|rest| rest.name.as_str()).filter(|name| known.uses(name)).collect();
    let grpc: Vec<_> = grpc.map(|grpc| grpc.name.as_str()).filter(|name| known.uses(name)).collect();
    for (servers, kind) in [(&rest, "REST"), (&grpc, "gRPC")] {
        if let [_, second, ..] = servers[..] {
            let node = references(application, "transport").into_iter().find(|(name, _)| *name == second);
            let position = node.map_or(application.position, |(_, node)| node.position);
            let message = format!("an application has one {kind} server; use another application for this one");
            problems.add::<()>(position, message);
        }
    }
    let is_openapi = config.rest_of(known).is_some_and(|rest| rest.generator_type == RestKind::Openapi);
    let names = |rest: Vec<&Rest>| rest.into_iter().map(|rest| rest.name.clone()).collect();
    let of_server = rest.first().map(|server| names(config.clients_of_server(server))).unwrap_or_default();
    clients(application, &rest, ("openapi", is_openapi), (names(config.clients_of(known)), of_server), problems);
    implementation(application, known, (&rest, is_openapi), config, problems);
    let is_proto = config.grpc_of(known).is_some_and(|grpc| grpc.generator_type == GrpcKind::Proto);
    let names = |kafka: Vec<&Kafka>| kafka.into_iter().map(|kafka| kafka.name.clone()).collect();
    let of_server = rest.first().map(|server| names(config.producers_of_server(server))).unwrap_or_default();
    let own = names(config.kafka_of(known, KafkaKind::Producer).collect());
    clients(application, &rest, ("openapi", is_openapi), (own, of_server), problems);
    let names = |grpc: Vec<&Grpc>| grpc.into_iter().map(|grpc| grpc.name.clone()).collect();
    let of_server = grpc.first().map(|server| names(config.channels_of_server(server))).unwrap_or_default();
    clients(application, &grpc, ("proto", is_proto), (names(config.channels_of(known)), of_server), problems);
}

/// The queues of an application, which the implementation of its server or of its commands has.
fn implementation(
    application: &Node,
    known: &Application,
    (rest, is_openapi): (&[&str], bool),
    config: &Config,
    problems: &mut Problems,
) {
    let commands: Vec<_> = known.cli.as_deref().into_iter().collect();
    let (server, kind, exists) =
        if known.cli.is_some() { (&commands[..], "cli", true) } else { (rest, "openapi", is_openapi) };
    let first = server.first().and_then(|server| config.application_with(server));
    let queues = first.map(|app| app.queue.clone()).unwrap_or_default();
    clients(application, server, (kind, exists), (known.queue.clone(), queues), problems);
}

/// The clients of an application, and of the first application with the same server. The implementation of a server has the
/// clients, so it has to be a server that has one.
fn clients(
    application: &Node,
    servers: &[&str],
    (kind, has_server): (&str, bool),
    (own, of_server): (Vec<String>, Vec<String>),
    problems: &mut Problems,
) {
    if has_server && own != of_server {
        let message = format!(
            "applications with the server `{}` must have the same clients, producers and queues",
            servers.join(", ")
        );
        problems.add::<()>(application.position, message);
    }
    if !has_server && !own.is_empty() {
        let message = format!("`{}` is only for the operations of a server of the type `{kind}`", own.join("`, `"));
        problems.add::<()>(application.position, message);
    }
}

/// The names that an application refers to by one of its keys: a list of names, or one name.
fn references<'a>(application: &'a Node, key: &str) -> Vec<(&'a str, &'a Node)> {
    let Some(value) = application.get(key) else { return Vec::new() };
    let elements = if matches!(value.value, Value::List(_)) { value.elements() } else { std::slice::from_ref(value) };
    elements.iter().filter_map(|element| text(element.get("name").unwrap_or(element))).collect()
}

/// What is listed has to be used: a forgotten reference is not a program without a server.
pub(super) fn unused(root: &Node, section: &str, list: &str, problems: &mut Problems) {
    let applications = root.get("applications").map(Node::elements).unwrap_or_default();
    let used: BTreeSet<_> = applications.iter().flat_map(|node| references(node, list)).map(|(name, _)| name).collect();
    for (name, node) in names(root, section) {
        if !used.contains(name) {
            problems.add::<()>(node.position, format!("no application uses `{name}`"));
        }
    }
}
