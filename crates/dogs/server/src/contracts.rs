//! Generates the contracts that are committed under `api/dogs/` from the code that implements them.

use dogs_domain::events::{self, DogCreated, DogDeleted, DogUpdated, DogsImported, ImageStored, ThumbnailStored};
use kennel_core::EventType;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http;

/// A contract cannot be generated, because of a defect in the code that it describes.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// As JSON.
    #[error("cannot write the contract as JSON")]
    Json(#[from] serde_json::Error),
    /// As YAML.
    #[error("cannot write the contract as YAML")]
    Yaml(#[from] yaml_serde::Error),
}

/// The contract of one type of event.
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

/// Every committed file that is generated from the code: its path in the repository and its content.
pub fn files() -> Result<Vec<(String, String)>, ContractError> {
    let mut files = vec![
        ("api/dogs/openapi.json".to_owned(), openapi_json()?),
        ("api/dogs/openapi.yaml".to_owned(), openapi_yaml()?),
        ("api/dogs/asyncapi.yaml".to_owned(), asyncapi_yaml()?),
        ("docs/configuration.md".to_owned(), crate::config::document()),
    ];
    let schemas = event_schemas()?.into_iter();
    files.extend(schemas.map(|(name, schema)| (format!("api/dogs/events/{name}.schema.json"), schema)));
    Ok(files)
}

/// `text` with a newline at the end.
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
            "description": "The events that the dogs service publishes. Events are delivered at least once: a redelivery has the same id. \
                Events with the same subject are delivered in order. A breaking change gets a new event name.",
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
    json!({ "address": topic, "description": "Events about dogs, in order per subject.", "messages": messages })
}

fn operation(topic: &str) -> Value {
    json!({
        "action": "send",
        "summary": "The service publishes an event after the change was committed.",
        "channel": { "$ref": format!("#/channels/{topic}") },
    })
}

fn message(event: &Contract) -> Value {
    let mut schema = event.schema.clone();
    // The document around the messages declares the dialect once.
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

/// The attributes of CloudEvents 1.0 that every event has as headers, in binary mode.
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
                "ce-subject": { "type": "string", "description": "The subject: the id of a dog, or the key of an import." },
                "ce-time": { "type": "string", "format": "date-time", "description": "When it happened." },
                "traceparent": { "type": "string", "description": "W3C Trace Context of the request that caused it." },
                "tracestate": { "type": "string", "description": "W3C Trace Context, if the request had one." },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `UPDATE=1` rewrites the committed files.
    #[test]
    fn committed_files_match_the_code() {
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
    fn no_other_files_are_committed_next_to_the_schemas() {
        let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../api/dogs/events");
        let known = event_schemas().unwrap().into_iter().map(|(name, _)| format!("{name}.schema.json"));
        let known: std::collections::BTreeSet<_> = known.collect();
        let committed =
            std::fs::read_dir(events).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(committed.collect::<std::collections::BTreeSet<_>>(), known);
    }

    #[test]
    fn every_event_is_described_once() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|event| event.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(all().iter().all(|event| event.topic == events::TOPIC));
        for event in all() {
            assert!(!event.summary().is_empty() && event.title() != event.name, "{}", event.name);
        }
    }
}
