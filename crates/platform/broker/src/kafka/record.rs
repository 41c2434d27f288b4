//! Encoding of events as Kafka records.

use bytes::Bytes;
use kennel_core::Event;
use kennel_core::broker::BrokerError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::producer::Record;
use crate::cloudevents::{Binding, NotAnEvent};

/// A record is not an event in the format of this workspace. It remains in the log for inspection.
#[derive(Debug, thiserror::Error)]
#[error("record {offset} of partition {partition} of `{topic}` is not an event")]
struct Unreadable {
    topic: String,
    partition: i32,
    offset: i64,
    source: NotAnEvent,
}

/// Encodes an event as a record for the topic `target`.
pub(super) fn write<'a>(event: &'a Event, target: &'a str) -> Record<'a> {
    let headers = Binding::KAFKA.headers(event);
    Record { topic: target, key: event.key.as_bytes(), headers, value: Some(&event.data) }
}

/// Decodes the event of a record, for subscribers of `topic`.
pub(super) fn read(topic: &str, message: &BorrowedMessage<'_>) -> Result<Event, BrokerError> {
    let data = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    Binding::KAFKA.read(topic, |name| header(message, name), data).map_err(|source| {
        let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
        BrokerError::Corrupt(Unreadable { topic, partition, offset, source }.into())
    })
}

/// Returns the header `name`, given in lowercase, if it is text.
pub(super) fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value?).ok()
}
