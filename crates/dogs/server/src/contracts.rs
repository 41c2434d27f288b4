//! The contracts that are committed under `api/`, made from the code that keeps them.

use dogs_domain::events::{self, DogCreated, DogDeleted, DogUpdated, DogsImported, ImageStored, ThumbnailStored};
use kennel_core::EventType;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http;

/// A contract could not be written; a fault in the code it is made from.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// As JSON.
    #[error("contract is not writable as JSON")]
    Json(#[from] serde_json::Error),
    /// As YAML.
    #[error("contract is not writable as YAML")]
    Yaml(#[from] yaml_serde::Error),
}

/// One kind of event, as contracts tell of it.
struct Contract {
    name: &'static str,
    topic: &'static str,
    schema: Value,
}

impl Contract {
    fn of<E: EventType>() -> Self {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<E>();
        Self { name: E::NAME, topic: E::TOPIC, schema: schema.to_value() }
    }

    /// The name of the event's type, such as `DogCreated`.
    fn title(&self) -> &str {
        self.schema["title"].as_str().unwrap_or(self.name)
    }

    fn summary(&self) -> &str {
        self.schema["description"].as_str().unwrap_or_default()
    }
}

fn all() -> [Contract; 6] {
    [
        Contract::of::<DogCreated>(),
        Contract::of::<DogUpdated>(),
        Contract::of::<DogDeleted>(),
        Contract::of::<ImageStored>(),
        Contract::of::<ThumbnailStored>(),
        Contract::of::<DogsImported>(),
    ]
}

/// The OpenAPI description of the HTTP API, as JSON.
pub fn openapi_json() -> Result<String, ContractError> {
    Ok(lines(http::description().to_pretty_json()?))
}

/// The OpenAPI description of the HTTP API, as YAML.
pub fn openapi_yaml() -> Result<String, ContractError> {
    Ok(http::description().to_yaml()?)
}

/// The AsyncAPI description of the events, as YAML.
pub fn asyncapi_yaml() -> Result<String, ContractError> {
    Ok(yaml_serde::to_string(&asyncapi())?)
}

/// The JSON Schema of each event's data, by the event's name.
pub fn event_schemas() -> Result<Vec<(&'static str, String)>, ContractError> {
    let schemas = all().into_iter().map(|event| {
        let mut schema = event.schema;
        schema["$id"] = format!("{}.schema.json", event.name).into();
        Ok((event.name, lines(serde_json::to_string_pretty(&schema)?)))
    });
    schemas.collect()
}

/// Every file that is generated from the code and committed: its path in the repository, and what belongs there.
pub fn files() -> Result<Vec<(String, String)>, ContractError> {
    let mut files = vec![
        ("api/openapi.json".to_owned(), openapi_json()?),
        ("api/openapi.yaml".to_owned(), openapi_yaml()?),
        ("api/asyncapi.yaml".to_owned(), asyncapi_yaml()?),
        ("docs/configuration.md".to_owned(), crate::config::document()),
    ];
    let schemas = event_schemas()?.into_iter();
    files.extend(schemas.map(|(name, schema)| (format!("api/events/{name}.schema.json"), schema)));
    Ok(files)
}

/// `text` with a line end behind its last line.
fn lines(mut text: String) -> String {
    text.push('\n');
    text
}

fn asyncapi() -> Value {
    let events = all();
    let (mut messages, mut references, mut topics) = (Map::new(), Map::new(), Map::new());
    for event in &events {
        messages.insert(event.title().to_owned(), message(event));
        let reference = json!({ "$ref": format!("#/components/messages/{}", event.title()) });
        references.insert(event.title().to_owned(), reference);
        topics.insert(event.topic.to_owned(), Value::Null);
    }
    let channels: Map<_, _> = topics.keys().map(|topic| (topic.clone(), channel(topic, &references))).collect();
    let operations: Map<_, _> = topics.keys().map(|topic| (operation_name(topic), operation(topic))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Dogs: events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the service of dogs tells others. Events are delivered at least once: a redelivery carries the same id. \
                Events with one subject keep their order. A change that breaks readers takes a new name.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "messageTraits": { "CloudEvent": envelope() } },
    })
}

fn operation_name(topic: &str) -> String {
    format!("publish.{topic}")
}

fn channel(topic: &str, messages: &Map<String, Value>) -> Value {
    json!({ "address": topic, "description": "Events of dogs, in order for each subject.", "messages": messages })
}

fn operation(topic: &str) -> Value {
    json!({
        "action": "send",
        "summary": "The service tells what happened, after the change has been committed.",
        "channel": { "$ref": format!("#/channels/{topic}") },
    })
}

fn message(event: &Contract) -> Value {
    let mut schema = event.schema.clone();
    // Messages stand inside a document that names the dialect once.
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    json!({
        "name": event.name,
        "title": event.title(),
        "summary": event.summary(),
        "contentType": "application/json",
        "traits": [{ "$ref": "#/components/messageTraits/CloudEvent" }],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": schema,
        },
    })
}

/// The attributes of CloudEvents 1.0 that every event carries as headers, in binary mode.
fn envelope() -> Value {
    json!({
        "headers": {
            "type": "object",
            "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time"],
            "properties": {
                "ce-specversion": { "type": "string", "const": "1.0" },
                "ce-id": { "type": "string", "format": "uuid", "description": "Unique; the same on a redelivery." },
                "ce-type": { "type": "string", "description": "The name of the message." },
                "ce-source": { "type": "string", "const": events::SOURCE },
                "ce-subject": { "type": "string", "description": "What it is about: a dog's id, or an import's key." },
                "ce-time": { "type": "string", "format": "date-time", "description": "When it happened." },
                "traceparent": { "type": "string", "description": "W3C Trace Context of the request that caused it." },
                "tracestate": { "type": "string", "description": "W3C Trace Context, where there is one." },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `UPDATE=1` writes what is committed anew.
    #[test]
    fn what_is_committed_is_what_the_code_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let update = std::env::var_os("UPDATE").is_some();
        let mut stale = Vec::new();
        for (path, expected) in files().unwrap() {
            let file = root.join(&path);
            if update {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(&file, expected).unwrap();
            } else if std::fs::read_to_string(&file).ok() != Some(expected) {
                stale.push(path);
            }
        }
        assert!(stale.is_empty(), "stale: {stale:?}; `make generate` writes them");
    }

    #[test]
    fn nothing_else_is_committed_beside_the_schemas() {
        let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../api/events");
        let known = event_schemas().unwrap().into_iter().map(|(name, _)| format!("{name}.schema.json"));
        let known: std::collections::BTreeSet<_> = known.collect();
        let there = std::fs::read_dir(events).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(there.collect::<std::collections::BTreeSet<_>>(), known);
    }

    #[test]
    fn every_event_is_told_once() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|event| event.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(all().iter().all(|event| event.topic == events::TOPIC));
        for event in all() {
            assert!(!event.summary().is_empty() && event.title() != event.name, "{}", event.name);
        }
    }
}
