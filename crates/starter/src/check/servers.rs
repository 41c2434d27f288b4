//! Servers, clients and command lines.

use std::collections::BTreeMap;

use super::Problems;
use super::names::{check_module, is_below};
use crate::config::{Config, GrpcKind, RestKind};
use crate::contract::proto::FOLDER;
use crate::yaml::Node;

/// The entries of `rest`. Returns the ports of servers, each with its name.
pub(super) fn rest<'c>(root: &Node, config: &'c Config, problems: &mut Problems) -> BTreeMap<u16, &'c str> {
    let nodes = root.get("rest").map(Node::elements).unwrap_or_default();
    let mut ports: BTreeMap<u16, &str> = BTreeMap::new();
    let mut has_entity = false;
    for (rest, node) in config.rest.iter().zip(nodes) {
        let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
        let is_client = rest.generator_type == RestKind::OpenapiClient;
        if rest.generator_type == RestKind::Entity {
            if has_entity {
                problems.add::<()>(node.position, "only one server for the entity is generated; remove it");
            }
            has_entity = true;
            if rest.path.is_some() {
                problems.add::<()>(at("path"), "only `openapi` and `openapi_client` have a document");
            }
        } else {
            match &rest.path {
                None => problems.add::<()>(node.position, "`path` is missing: the OpenAPI document"),
                Some(path) if !is_below(path) => {
                    problems.add::<()>(at("path"), "must be a path below the folder of kennel.yaml")
                }
                Some(_) => None,
            };
            check_module(&rest.name, node, config, problems);
        }
        if !is_client && rest.auth_params.is_some() {
            problems.add::<()>(
                at("auth_params"),
                "only a client has `auth_params`; a server has `security` in its document",
            );
        }
        if is_client && node.get("port").is_some() {
            problems.add::<()>(at("port"), "a client has no port");
        }
        if is_client {
            continue;
        }
        if let Some(other) = ports.insert(rest.port, &rest.name) {
            problems.add::<()>(at("port"), format!("`{other}` has the port {}, too", rest.port));
        }
    }
    ports
}

/// The entries of `grpc`.
pub(super) fn grpc<'c>(root: &Node, config: &'c Config, mut ports: BTreeMap<u16, &'c str>, problems: &mut Problems) {
    let mut has_entity = false;
    for (grpc, node) in config.grpc.iter().zip(root.get("grpc").map(Node::elements).unwrap_or_default()) {
        let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
        let is_client = grpc.generator_type == GrpcKind::ProtoClient;
        if grpc.generator_type == GrpcKind::Entity {
            if has_entity {
                problems.add::<()>(node.position, "only one server for the entity is generated; remove it");
            }
            has_entity = true;
            if grpc.path.is_some() {
                problems.add::<()>(at("path"), "only `proto` and `proto_client` have a file");
            }
        } else {
            match &grpc.path {
                None => problems.add::<()>(node.position, "`path` is missing: the protobuf file"),
                Some(path) if !is_below(path) || !path.starts_with(FOLDER) => {
                    problems.add::<()>(at("path"), "must be a path below `proto/`")
                }
                Some(_) => None,
            };
            check_module(&grpc.name, node, config, problems);
        }
        if is_client && node.get("port").is_some() {
            problems.add::<()>(at("port"), "a client has no port");
        }
        if is_client {
            continue;
        }
        if let Some(other) = ports.insert(grpc.port, &grpc.name) {
            problems.add::<()>(at("port"), format!("`{other}` has the port {}, too", grpc.port));
        }
    }
}

/// The entries of `cli`.
pub(super) fn command_lines(root: &Node, config: &Config, problems: &mut Problems) {
    for (cli, node) in config.cli.iter().zip(root.get("cli").map(Node::elements).unwrap_or_default()) {
        check_module(&cli.name, node, config, problems);
        if !is_below(&cli.path) {
            let position = node.get("path").unwrap_or(node).position;
            problems.add::<()>(position, "must be a path below the folder of kennel.yaml");
        }
    }
}
