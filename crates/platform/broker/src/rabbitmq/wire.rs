//! Encoding of events as AMQP messages.

use bytes::Bytes;
use kennel_core::{Event, TraceContext};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::cloudevents::{Binding, CONTENT_TYPE, NotAnEvent};

/// Header in which a quorum queue counts how often a message was returned.
const RETURNS: &str = "x-delivery-count";
/// Stored on disk.
const PERSISTENT: u8 = 2;

/// Encodes an event as message properties; `extra` is a further header.
pub(super) fn properties(event: &Event, extra: Option<(&str, &str)>) -> BasicProperties {
    let mut headers = FieldTable::default();
    let attributes = Binding::AMQP.headers(event).into_iter().filter(|(name, _)| name != CONTENT_TYPE);
    let extra = extra.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in attributes.chain(extra) {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_content_type(event.content_type.as_str().into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event.id.to_string().into())
        .with_headers(headers)
}

/// Returns a header if it is text.
pub(super) fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a str> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Decodes the event of a message from `topic`.
pub(super) fn event(topic: &str, properties: &BasicProperties, data: Vec<u8>) -> Result<Event, NotAnEvent> {
    let content_type = properties.content_type().as_ref().map(ShortString::as_str);
    let header = |name: &str| if name == CONTENT_TYPE { content_type } else { header(properties, name) };
    let event = Binding::AMQP.read(topic, header, Bytes::from(data))?;
    let trace = event.trace.filter(|trace| *trace != TraceContext::default());
    Ok(Event { trace, ..event })
}

/// Returns the attempt number of a delivery.
pub(super) fn attempt(properties: &BasicProperties) -> u32 {
    let returns = properties.headers().as_ref().and_then(|headers| headers.inner().get(RETURNS));
    let returns = match returns {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).unwrap_or(u32::MAX),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => *count,
        Some(AMQPValue::ShortInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortUInt(count)) => u32::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortShortUInt(count)) => u32::from(*count),
        _ => 0,
    };
    returns.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_decoded_unchanged() {
        let sent = Event {
            id: Uuid::from_u128(7),
            name: "dogs.created".to_owned(),
            source: "/dogs".to_owned(),
            topic: "dogs.events".to_owned(),
            key: "h\u{fc}tte\r\n1".to_owned(),
            time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
            content_type: "application/json".to_owned(),
            data: Bytes::from_static(b"{}"),
            trace: Some(TraceContext { traceparent: "00-1-2-01".to_owned(), tracestate: None }),
        };
        let bytes =
            Event { content_type: "application/protobuf".to_owned(), data: vec![0, 255].into(), ..sent.clone() };
        for sent in [sent.clone(), bytes, Event { key: String::new(), trace: None, ..sent }] {
            let properties = properties(&sent, Some(("kennel-x", "y")));
            assert_eq!(header(&properties, "kennel-x"), Some("y"));
            assert_eq!(properties.content_type().as_ref().unwrap().as_str(), sent.content_type);
            assert_eq!(event("dogs.events", &properties, sent.data.to_vec()).unwrap(), sent);
        }
    }

    #[test]
    fn attempts_are_counted_from_one() {
        let with = |value| {
            let mut headers = FieldTable::default();
            headers.insert(RETURNS.into(), value);
            attempt(&BasicProperties::default().with_headers(headers))
        };
        assert_eq!(attempt(&BasicProperties::default()), 1);
        assert_eq!([with(AMQPValue::LongLongInt(3)), with(AMQPValue::ShortShortUInt(1))], [4, 2]);
        assert_eq!(with(AMQPValue::LongLongInt(i64::MAX)), u32::MAX);
    }
}
