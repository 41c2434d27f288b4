//! Generates the contracts of a service from the code that implements them. They are committed under `api/<service>/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use kennel_net::Operation;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::events::{EventContract, EventSchema};
use crate::settings::ProgramSettings;
use crate::{EventSet, Service, Uses, access};

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
    if description.info.title.is_empty() {
        let about = kennel_http::openapi::document(&capitalized(S::NAME), &format!("{}.", S::ABOUT));
        description = about.merge_from(description);
    }
    kennel_http::openapi::allow_empty_queries(&mut description);
    let rules = S::access();
    kennel_http::openapi::secure(&mut description, |method, route| {
        rules.find(Operation::Http(method, route))?.scopes()
    });
    if description.paths.paths.is_empty() {
        // Responses that no operation has.
        description.components = None;
    }
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

/// The schema of each event's data, by the name of its file: a JSON Schema, or a protobuf file.
pub fn event_schemas<S: Service>() -> Result<Vec<(String, String)>, ContractError> {
    let schemas = S::events().contracts.into_iter().map(|event| match event.schema {
        EventSchema::Json(mut schema) => {
            let file = format!("{}.schema.json", event.name);
            schema["$id"] = file.as_str().into();
            Ok((file, lines(serde_json::to_string_pretty(&schema)?)))
        }
        EventSchema::Protobuf(proto) => Ok((format!("{}.proto", event.name), proto.to_owned())),
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
    let folder = format!("api/{}", S::CONTRACTS);
    let mut files = vec![
        (format!("{folder}/openapi.json"), openapi_json::<S>()?),
        (format!("{folder}/openapi.yaml"), openapi_yaml::<S>()?),
    ];
    if S::USES.includes(Uses::BROKER) {
        files.push((format!("{folder}/asyncapi.yaml"), asyncapi_yaml::<S>(version)?));
    }
    let schemas = event_schemas::<S>()?.into_iter();
    files.extend(schemas.map(|(file, schema)| (format!("{folder}/events/{file}"), schema)));
    Ok(files)
}

/// Fails if a committed contract of the service in the repository at `root` is not the generated one; with `UPDATE=1` in
/// the environment, writes them instead. Also fails as [`check_access`]. [`contract_test!`](crate::contract_test) is the test.
pub fn check<S: Service>(root: impl AsRef<Path>, version: &str) -> anyhow::Result<()> {
    check_files(root, &files::<S>(version)?)?;
    check_access::<S>()
}

/// Fails if a route of the service has no access rule, or a rule has no route. The start of the service checks its methods of
/// gRPC.
pub fn check_access<S: Service>() -> anyhow::Result<()> {
    access::check_routes::<S>()
}

/// As [`check`], of these files.
pub fn check_files(root: impl AsRef<Path>, files: &[(String, String)]) -> anyhow::Result<()> {
    let stale = stale(root.as_ref(), files, std::env::var_os("UPDATE").is_some())?;
    anyhow::ensure!(stale.is_empty(), "stale: {stale:?}; `make generate` writes them");
    Ok(())
}

/// The `files` whose committed content in the repository at `root` differs, and the committed files next to them that are
/// not among them. With `update`, writes the files instead.
fn stale(root: &Path, files: &[(String, String)], update: bool) -> io::Result<Vec<String>> {
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
        messages.insert(event.title.clone(), message(event));
        let reference = json!({ "$ref": format!("#/components/messages/{}", event.title) });
        topics.entry(event.topic).or_default().insert(event.title.clone(), reference);
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
    let (format, schema) = match &event.schema {
        EventSchema::Json(schema) => {
            let mut schema = schema.clone();
            // The document around the messages declares the dialect once.
            if let Some(object) = schema.as_object_mut() {
                object.remove("$schema");
            }
            ("application/schema+json;version=draft-2020-12", schema)
        }
        EventSchema::Protobuf(proto) => ("application/vnd.google.protobuf;version=3", (*proto).into()),
    };
    json!({
        "name": event.name,
        "title": event.title,
        "summary": event.summary,
        "contentType": event.content_type,
        "traits": [{ "$ref": "#/components/messageTraits/CloudEvent" }],
        "payload": { "schemaFormat": format, "schema": schema },
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
    use kennel_core::EventType;
    use kennel_core::codec::Protobuf;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Slept {
        #[prost(string, tag = "1")]
        dog: String,
    }

    impl EventType for Slept {
        const NAME: &'static str = "dogs.slept";
        const TOPIC: &'static str = "dogs.events";

        type Codec = Protobuf;

        fn key(&self) -> String {
            self.dog.clone()
        }
    }

    #[test]
    fn the_contract_of_a_protobuf_event_is_its_file() {
        let proto = "// A dog slept.\nmessage Slept {\n  string dog = 1;\n}\n";
        let events = EventSet::new("/dogs", "the name of a dog").with_message::<Slept>("Slept", proto);
        let document = asyncapi("dogs", "1.0.0", &events);
        let message = &document["components"]["messages"]["Slept"];
        assert_eq!((&message["name"], &message["summary"]), (&json!("dogs.slept"), &json!("A dog slept.")));
        assert_eq!(message["contentType"], "application/protobuf");
        let payload = json!({ "schemaFormat": "application/vnd.google.protobuf;version=3", "schema": proto });
        assert_eq!(message["payload"], payload);
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct SleptV2 {
        #[prost(string, tag = "1")]
        dog: String,
    }

    impl EventType for SleptV2 {
        const NAME: &'static str = "dogs.slept_v2";
        const TOPIC: &'static str = "dogs.events_v2";

        type Codec = Protobuf;

        fn key(&self) -> String {
            self.dog.clone()
        }
    }

    #[test]
    fn two_versions_of_a_message_are_two_messages() {
        let proto = "message Slept {}";
        let events = EventSet::new("/dogs", "the name of a dog");
        let events = events.with_message::<Slept>("Slept", proto).with_message::<SleptV2>("Slept", proto);
        let document = asyncapi("dogs", "1.0.0", &events);
        let messages = document["components"]["messages"].as_object().unwrap();
        assert_eq!(messages.keys().collect::<Vec<_>>(), ["Slept", "dogs.slept_v2"]);
    }

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
