//! Events: their schemas, consumers and producers.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{check_module, is_below, is_dotted, is_reserved};
use super::{Problems, hint};
use crate::config::{Config, KafkaKind};
use crate::yaml::Node;

/// The schemas of events, and the consumers and producers of those events.
pub(super) fn events(root: &Node, config: &Config, problems: &mut Problems) {
    let known: Vec<_> = config
        .jsonschema
        .iter()
        .flat_map(|set| set.schemas.iter().map(move |schema| format!("{}.{}", set.name, schema.id)))
        .collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let (mut contracts, mut used) = (BTreeMap::new(), BTreeSet::new());
    for (kafka, node) in config.kafka.iter().zip(root.get("kafka").map(Node::elements).unwrap_or_default()) {
        let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
        match &kafka.topic {
            None if !kafka.events.is_empty() => {
                problems.add::<()>(node.position, "`topic` is missing: that of the events")
            }
            Some(_) if kafka.events.is_empty() => {
                problems.add::<()>(at("topic"), "only events with schemas have a topic")
            }
            Some(topic) if !is_dotted(topic) => {
                problems.add::<()>(at("topic"), "must be lower-case words joined by `.`, `-` or `_`")
            }
            _ => None,
        };
        if kafka.kind == KafkaKind::Producer {
            check_module(&kafka.name, node, config, problems);
            if kafka.events.is_empty() {
                problems.add::<()>(node.position, "`events` is missing: what is published");
            }
        }
        let nodes = node.get("events").map(Node::elements).unwrap_or_default();
        for (event, node) in kafka.events.iter().zip(nodes) {
            let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
            if !is_dotted(&event.name) {
                problems.add::<()>(at("name"), "must be lower-case words joined by `.`, `-` or `_`");
            }
            if !known.contains(&&*event.schema) {
                problems.add::<()>(
                    at("schema"),
                    format!("unknown schema `{}`{}", event.schema, hint(&event.schema, &known)),
                );
            }
            used.insert(event.schema.as_str());
            let contract = (&event.name, &kafka.topic);
            if *contracts.entry(&event.schema).or_insert(contract) != contract {
                problems.add::<()>(
                    at("schema"),
                    format!("`{}` is already the schema of another event or topic", event.schema),
                );
            }
        }
    }
    for (set, node) in config.jsonschema.iter().zip(root.get("jsonschema").map(Node::elements).unwrap_or_default()) {
        check_module(&set.name, node, config, problems);
        let mut ids = BTreeSet::new();
        for (schema, node) in set.schemas.iter().zip(node.get("schemas").map(Node::elements).unwrap_or_default()) {
            let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
            if !ids.insert(&schema.id) {
                problems.add::<()>(at("id"), format!("the id `{}` is already used in the set", schema.id));
            }
            if is_reserved(&schema.id) {
                problems.add::<()>(at("id"), format!("`{}` has another meaning in the generated code", schema.id));
            }
            if !is_below(&schema.path) {
                problems.add::<()>(at("path"), "must be a path below the folder of kennel.yaml");
            }
            if !used.contains(&*format!("{}.{}", set.name, schema.id)) {
                problems.add::<()>(at("id"), format!("no consumer or producer uses `{}.{}`", set.name, schema.id));
            }
        }
    }
}
