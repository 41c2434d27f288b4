//! Encoding of events as NATS messages, and the names of streams, subjects and consumers.

use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use kennel_core::broker::BrokerError;
use kennel_core::{Event, TraceContext};
use uuid::Uuid;

use crate::cloudevents::{Binding, NotAnEvent};
use crate::group::{encode_name, partition};

/// Names of streams, subjects and consumers, distinct for different topics and groups.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: encode_name(prefix) }
    }

    /// The name of the stream of a topic, until it is lost.
    pub(super) fn topic_stream(&self, topic: &str) -> String {
        format!("{}-topic-{}", self.prefix, encode_name(topic))
    }

    pub(super) fn topic_subjects(&self, topic: &str) -> String {
        format!("{}.topic.{}.*", self.prefix, encode_name(topic))
    }

    pub(super) fn partition_subject(&self, topic: &str, partition: u16) -> String {
        format!("{}.topic.{}.{partition}", self.prefix, encode_name(topic))
    }

    pub(super) fn consumer(group: &str, partition: u16) -> String {
        format!("{}-{partition}", encode_name(group))
    }

    /// The name of the stream of dead letters, until it is lost.
    pub(super) fn dead_stream(&self) -> String {
        format!("{}-dead", self.prefix)
    }

    /// The subjects of the dead letters of an event, or of all.
    pub(super) fn dead_subjects(&self, event: Option<Uuid>) -> String {
        match event {
            Some(event) => format!("{}.dead.{}.*", self.prefix, event.simple()),
            None => format!("{}.dead.>", self.prefix),
        }
    }

    pub(super) fn dead_subject(&self, event: Uuid, group: &str) -> String {
        format!("{}.dead.{}.{}", self.prefix, event.simple(), encode_name(group))
    }

    /// The event id in the subject of a dead letter.
    pub(super) fn event_of(subject: &str) -> Option<Uuid> {
        subject.rsplit('.').nth(1).and_then(|id| Uuid::try_parse(id).ok())
    }

    pub(super) fn groups_stream(&self) -> String {
        format!("{}-groups", self.prefix)
    }

    pub(super) fn groups_subjects(&self) -> String {
        format!("{}.group.>", self.prefix)
    }

    /// The common prefix of the subjects of one group on one topic.
    pub(super) fn group(&self, topic: &str, group: &str) -> String {
        format!("{}.group.{}.{}", self.prefix, encode_name(topic), encode_name(group))
    }

    /// The subject on which members notify each other to balance the partitions. Not part of a stream.
    pub(super) fn rebalance_subject(&self, topic: &str, group: &str) -> String {
        format!("{}.rebalance.{}.{}", self.prefix, encode_name(topic), encode_name(group))
    }

    /// The subject of an event.
    pub(super) fn subject(&self, event: &Event, partitions: u16) -> String {
        self.partition_subject(&event.topic, partition(&event.key, partitions))
    }
}

/// Encodes an event as a message; `extra` are further headers.
pub(super) fn message(event: &Event, extra: &[(&str, &str)]) -> Result<PublishMessage, BrokerError> {
    let attributes = Binding::NATS.headers(event);
    let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = HeaderMap::new();
    for (name, value) in attributes.chain(extra.iter().copied()) {
        let value: HeaderValue = value.parse().map_err(|error| BrokerError::Backend(Box::new(error)))?;
        headers.insert(name, value);
    }
    Ok(PublishMessage::build().headers(headers).payload(event.data.clone()))
}

/// Decodes the event of a message from `topic`.
pub(super) fn event(topic: &str, headers: &HeaderMap, data: Bytes) -> Result<Event, NotAnEvent> {
    let header = |name: &str| headers.get(name).map(HeaderValue::as_str);
    let event = Binding::NATS.read(topic, header, data)?;
    let trace = event.trace.filter(|trace| *trace != TraceContext::default());
    Ok(Event { trace, ..event })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kennel_core::Timestamp;

    use super::*;

    fn sample() -> Event {
        Event {
            id: Uuid::from_u128(7),
            name: "dogs.created".to_owned(),
            source: "/dogs".to_owned(),
            topic: "dogs.events".to_owned(),
            key: "h\u{fc}tte\r\n1".to_owned(),
            time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
            content_type: "application/json".to_owned(),
            data: Bytes::from_static(b"{}"),
            trace: Some(TraceContext { traceparent: "00-1-2-01".to_owned(), tracestate: None }),
        }
    }

    #[test]
    fn an_event_is_decoded_unchanged() {
        for sent in [sample(), Event { key: String::new(), trace: None, ..sample() }] {
            let message = message(&sent, &[("kennel-x", "y")]).unwrap().outbound_message("s");
            let headers = message.headers.unwrap();
            assert_eq!(headers.get("kennel-x").unwrap().as_str(), "y");
            assert_eq!(event("dogs.events", &headers, message.payload).unwrap(), sent);
        }
    }

    #[test]
    fn a_header_that_would_break_the_message_is_refused() {
        let trace = Some(TraceContext { traceparent: "00\r\nx: y".to_owned(), tracestate: None });
        assert!(message(&Event { trace, ..sample() }, &[]).is_err());
    }

    #[test]
    fn names_are_distinct() {
        let names = Names::new("kennel");
        let mut found = BTreeSet::new();
        for topic in ["a", "a.b", "a_b", "a.0"] {
            assert!(found.insert(names.topic_stream(topic)));
            assert!(found.insert(names.partition_subject(topic, 0)));
            for group in ["g", "g.0", "g-0"] {
                assert!(found.insert(names.group(topic, group)));
            }
        }
        assert_ne!(Names::consumer("g", 1), Names::consumer("g.1", 1));
        assert_eq!(Names::event_of(&names.dead_subject(Uuid::from_u128(9), "a.b")), Some(Uuid::from_u128(9)));
    }
}
