//! The events of a service, as contracts and as topics.

use std::collections::BTreeSet;

use kennel_broker::EventTopic;
use kennel_core::EventType;
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
    pub(crate) schema: Value,
}

impl EventSet {
    /// A set without events, whose events have this CloudEvents `source` and subject.
    pub const fn new(source: &'static str, subject: &'static str) -> Self {
        Self { source, subject, contracts: Vec::new() }
    }

    /// Adds a type of event.
    #[must_use]
    pub fn with<E: EventType>(mut self) -> Self {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<E>();
        self.contracts.push(EventContract { name: E::NAME, topic: E::TOPIC, schema: schema.to_value() });
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
            meaning: uncapitalized(contract.summary()),
        };
        self.contracts.iter().map(topic).collect()
    }
}

impl EventContract {
    /// The name of the event's type, such as `NoteCreated`.
    pub(crate) fn title(&self) -> &str {
        self.schema["title"].as_str().unwrap_or(self.name)
    }

    pub(crate) fn summary(&self) -> &str {
        self.schema["description"].as_str().unwrap_or_default()
    }
}

/// A sentence as part of another one: "A note was created." as "a note was created".
fn uncapitalized(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
