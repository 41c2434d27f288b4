//! The events of a service, as contracts and as topics.

use std::collections::BTreeSet;

use kennel_broker::EventTopic;
use kennel_core::codec::{Json, Protobuf};
use kennel_core::{Codec as _, EventType};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The types of events that a service publishes.
#[derive(Debug, Clone, Default)]
pub struct EventSet {
    /// The CloudEvents `source` of all events.
    pub source: &'static str,
    /// What the subject of an event identifies, such as "the id of a note".
    pub subject: &'static str,
    pub(crate) contracts: Vec<EventContract>,
}

/// The contract of one type of event.
#[derive(Debug, Clone)]
pub(crate) struct EventContract {
    pub(crate) name: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) content_type: &'static str,
    /// The name of its type, such as `NoteCreated`.
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) schema: EventSchema,
}

/// The schema of an event's data.
#[derive(Debug, Clone)]
pub(crate) enum EventSchema {
    /// A JSON Schema.
    Json(Value),
    /// A protobuf file that declares the message.
    Protobuf(&'static str),
}

impl EventSet {
    /// A set without events, whose events have this CloudEvents `source` and subject.
    pub const fn new(source: &'static str, subject: &'static str) -> Self {
        Self { source, subject, contracts: Vec::new() }
    }

    /// Adds a type of event with JSON data. Its documentation comment is the summary in the contract.
    #[must_use]
    pub fn with<E: EventType<Codec = Json> + JsonSchema>(self) -> Self {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<E>().to_value();
        let text = |key: &str| schema[key].as_str().map(str::to_owned);
        let (title, summary) = (text("title").unwrap_or_else(|| E::NAME.to_owned()), text("description"));
        self.with_contract::<E>(title, summary.unwrap_or_default(), EventSchema::Json(schema))
    }

    /// Adds a type of event whose data is the protobuf message `message`, declared in `proto`, the text of its file. The
    /// comment of the message is the summary in the contract.
    #[must_use]
    pub fn with_message<E: EventType<Codec = Protobuf>>(self, message: &str, proto: &'static str) -> Self {
        self.with_contract::<E>(message.to_owned(), comment_of(message, proto), EventSchema::Protobuf(proto))
    }

    fn with_contract<E: EventType>(mut self, title: String, summary: String, schema: EventSchema) -> Self {
        let (name, topic, content_type) = (E::NAME, E::TOPIC, E::Codec::CONTENT_TYPE);
        // Two versions of a message have one name in their packages.
        let is_taken = self.contracts.iter().any(|contract| contract.title == title);
        let title = if is_taken { name.to_owned() } else { title };
        self.contracts.push(EventContract { name, topic, content_type, title, summary, schema });
        self
    }

    /// The topics, each once.
    pub fn topics(&self) -> Vec<&'static str> {
        let topics: BTreeSet<_> = self.contracts.iter().map(|contract| contract.topic).collect();
        topics.into_iter().collect()
    }

    /// The events as those whose topic in Kafka is a setting.
    pub(crate) fn kafka_topics(&self) -> Vec<EventTopic> {
        let topic = |contract: &EventContract| EventTopic {
            event: contract.name,
            topic: contract.topic,
            meaning: uncapitalized(&contract.summary),
        };
        self.contracts.iter().map(topic).collect()
    }
}

/// Returns the comment before the declaration of a message, as one line.
fn comment_of(message: &str, proto: &str) -> String {
    let declaration = format!("message {message} {{");
    let lines: Vec<_> = proto.lines().map(str::trim).take_while(|line| !line.starts_with(&declaration)).collect();
    let start = lines.iter().rposition(|line| !line.starts_with("//")).map_or(0, |last| last + 1);
    let text = lines[start..].iter().map(|line| line.trim_start_matches('/').trim());
    text.collect::<Vec<_>>().join(" ")
}

/// A sentence as part of another one: "A note was created." as "a note was created".
fn uncapitalized(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_of_a_message_is_its_summary() {
        let proto = "// The file.\n\n// A dog\n// slept.\nmessage Slept {\n  int64 a = 1;\n}\nmessage Bare {}\n";
        assert_eq!(comment_of("Slept", proto), "A dog slept.");
        assert_eq!(comment_of("Bare", proto), "");
    }
}
