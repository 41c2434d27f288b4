//! Generates the contracts of a service from the code that implements them. They are committed under `api/<service>/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::events::EventContract;
use crate::settings::ProgramSettings;
use crate::{EventSet, Service};

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

/// The OpenAPI description of the HTTP API.
pub fn openapi<S: Service>() -> OpenApi {
    let mut description = S::http().into_openapi();
    kennel_http::openapi::allow_empty_queries(&mut description);
    description
}

/// The OpenAPI description of the HTTP API, as JSON.
pub fn openapi_json<S: Service>() -> Result<String, ContractError> {
    Ok(lines(openapi::<S>().to_pretty_json()?))
}

/// The OpenAPI description of the HTTP API, as YAML.
pub fn openapi_yaml<S: Service>() -> Result<String, ContractError> {
    Ok(openapi::<S>().to_yaml()?)
}

/// The AsyncAPI description of the events, as YAML.
pub fn asyncapi_yaml<S: Service>(version: &str) -> Result<String, ContractError> {
    Ok(yaml_serde::to_string(&asyncapi(S::NAME, version, &S::events()))?)
}

/// The JSON Schema of each event's data, by the event's name.
pub fn event_schemas<S: Service>() -> Result<Vec<(&'static str, String)>, ContractError> {
    let schemas = S::events().contracts.into_iter().map(|event| {
        let mut schema = event.schema;
        schema["$id"] = format!("{}.schema.json", event.name).into();
        Ok((event.name, lines(serde_json::to_string_pretty(&schema)?)))
    });
    schemas.collect()
}

/// The reference of all settings, as Markdown.
pub fn configuration<S: Service>() -> String {
    let reference = kennel_config::reference::<ProgramSettings<S>>();
    let introduction = CONFIGURATION.replace("{name}", S::NAME);
    format!("{introduction}{}\n", reference.trim_end())
}

const CONFIGURATION: &str = "\
# Configuration

Generated from the settings' types by `make generate`; do not edit.

Layers, of which later ones override earlier ones: built-in defaults, the TOML file that `CONFIG_FILE` names, `.env` in the
working directory, the environment. The variable `SERVER_PORT` is the key `server_port` of the file; unknown keys of the file
are rejected. An empty variable counts as unset. Durations are written as `250ms`, `30s` or `1h 30m`; sizes as `64KiB` or
`10MiB`.

All problems are reported at once, each with its variable or its line of the file, before any socket is opened; the exit code
is 64. `{name} config check` only does this check; `{name} config print` shows every setting with its source.

";

/// The contracts of the service: for each file its path in the repository and its content.
pub fn files<S: Service>(version: &str) -> Result<Vec<(String, String)>, ContractError> {
    let folder = format!("api/{}", S::NAME);
    let mut files = vec![
        (format!("{folder}/openapi.json"), openapi_json::<S>()?),
        (format!("{folder}/openapi.yaml"), openapi_yaml::<S>()?),
        (format!("{folder}/asyncapi.yaml"), asyncapi_yaml::<S>(version)?),
    ];
    let schemas = event_schemas::<S>()?.into_iter();
    files.extend(schemas.map(|(name, schema)| (format!("{folder}/events/{name}.schema.json"), schema)));
    Ok(files)
}

/// The `files` whose committed content in the repository at `root` differs, and the committed files next to them that are
/// not among them. With `update`, writes the files instead.
pub fn stale(root: &Path, files: &[(String, String)], update: bool) -> io::Result<Vec<String>> {
    let mut stale = BTreeSet::new();
    for (path, expected) in files {
        let file = root.join(path);
        let Some(folder) = file.parent() else { continue };
        if update {
            fs::create_dir_all(folder)?;
            fs::write(&file, expected)?;
        } else if fs::read_to_string(&file).ok().as_ref() != Some(expected) {
            stale.insert(path.clone());
        }
        if path.starts_with("api/") && folder.is_dir() {
            stale.extend(unknown_files(root, folder, files)?);
        }
    }
    Ok(stale.into_iter().collect())
}

/// The files of a folder that are not among the generated ones.
fn unknown_files(root: &Path, folder: &Path, files: &[(String, String)]) -> io::Result<Vec<String>> {
    let mut unknown = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_file() && files.iter().all(|(known, _)| *known != relative) {
            unknown.push(relative);
        }
    }
    Ok(unknown)
}

/// `text` with a newline at the end.
fn lines(mut text: String) -> String {
    text.push('\n');
    text
}

fn asyncapi(name: &str, version: &str, events: &EventSet) -> Value {
    let (mut messages, mut topics) = (Map::new(), BTreeMap::<&str, Map<_, _>>::new());
    for event in &events.contracts {
        messages.insert(event.title().to_owned(), message(event));
        let reference = json!({ "$ref": format!("#/components/messages/{}", event.title()) });
        topics.entry(event.topic).or_default().insert(event.title().to_owned(), reference);
    }
    let channel = |(topic, messages): (&&str, &Map<_, _>)| ((*topic).to_owned(), channel(name, topic, messages));
    let channels: Map<_, _> = topics.iter().map(channel).collect();
    let operations: Map<_, _> = topics.keys().map(|topic| (operation_name(topic), operation(topic))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("{}: events", capitalized(name)),
            "version": version,
            "description": format!("The events that the {name} service publishes. Events are delivered at least once: a redelivery has the same id. \
                Events with the same subject are delivered in order. A breaking change gets a new event name."),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "messageTraits": { "CloudEvent": envelope(events) } },
    })
}

fn operation_name(topic: &str) -> String {
    format!("publish.{topic}")
}

fn channel(name: &str, topic: &str, messages: &Map<String, Value>) -> Value {
    json!({ "address": topic, "description": format!("Events about {name}, in order per subject."), "messages": messages })
}

fn operation(topic: &str) -> Value {
    json!({
        "action": "send",
        "summary": "The service publishes an event after the change was committed.",
        "channel": { "$ref": format!("#/channels/{topic}") },
    })
}

fn message(event: &EventContract) -> Value {
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
fn envelope(events: &EventSet) -> Value {
    json!({
        "headers": {
            "type": "object",
            "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time"],
            "properties": {
                "ce-specversion": { "type": "string", "const": "1.0" },
                "ce-id": { "type": "string", "format": "uuid", "description": "Unique; the same on a redelivery." },
                "ce-type": { "type": "string", "description": "The name of the message." },
                "ce-source": { "type": "string", "const": events.source },
                "ce-subject": { "type": "string", "description": format!("The subject: {}.", events.subject) },
                "ce-time": { "type": "string", "format": "date-time", "description": "When it happened." },
                "traceparent": { "type": "string", "description": "W3C Trace Context of the request that caused it." },
                "tracestate": { "type": "string", "description": "W3C Trace Context, if the request had one." },
            },
        },
    })
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_missing_and_unknown_files_are_stale() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| (format!("api/notes/{name}"), text.to_owned());
        let files = [file("openapi.json", "{}"), file("asyncapi.yaml", "a: 1")];
        assert_eq!(stale(root.path(), &files, false).unwrap(), ["api/notes/asyncapi.yaml", "api/notes/openapi.json"]);
        assert!(stale(root.path(), &files, true).unwrap().is_empty());
        fs::write(root.path().join("api/notes/old.json"), "").unwrap();
        fs::write(root.path().join("api/notes/openapi.json"), "[]").unwrap();
        assert_eq!(stale(root.path(), &files, false).unwrap(), ["api/notes/old.json", "api/notes/openapi.json"]);
    }
}
