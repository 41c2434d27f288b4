//! Encoding of events as CloudEvents 1.0 in binary mode: attributes in headers, data as body.
//!
//! The trace context is in the headers `traceparent` and `tracestate`. The topic is not encoded: a message belongs to the
//! topic in which it is found.

use std::fmt::Write as _;

use bytes::Bytes;
use kennel_core::codec::Json;
use kennel_core::{Event, TraceContext};

const SPEC_VERSION: &str = "1.0";
/// The header with the attribute `datacontenttype`, in every binding.
pub(crate) const CONTENT_TYPE: &str = "content-type";

/// How a protocol binding of CloudEvents encodes attributes as headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    prefix: &'static str,
    percent_encoded: bool,
}

impl Binding {
    /// NATS, as HTTP: `ce-id`.
    pub const NATS: Self = Self { prefix: "ce-", percent_encoded: true };
    /// Kafka: `ce_id`.
    pub const KAFKA: Self = Self { prefix: "ce_", percent_encoded: false };
    /// AMQP: `cloudEvents:id`.
    pub const AMQP: Self = Self { prefix: "cloudEvents:", percent_encoded: false };

    /// Returns the headers of a message whose body is the event's data.
    pub fn headers(self, event: &Event) -> Vec<(String, String)> {
        let mut headers = vec![(CONTENT_TYPE.to_owned(), event.content_type.clone())];
        let mut attribute = |name: &str, value: &str| {
            let value = if self.percent_encoded { percent_encode(value) } else { value.to_owned() };
            headers.push((format!("{}{name}", self.prefix), value));
        };
        attribute("specversion", SPEC_VERSION);
        attribute("id", &event.id.to_string());
        attribute("type", &event.name);
        attribute("source", &event.source);
        attribute("time", &event.time.to_string());
        if !event.key.is_empty() {
            attribute("subject", &event.key);
        }
        if let Some(trace) = &event.trace {
            headers.push(("traceparent".to_owned(), trace.traceparent.clone()));
            let state = trace.tracestate.as_ref();
            headers.extend(state.map(|state| ("tracestate".to_owned(), state.clone())));
        }
        headers
    }

    /// Decodes the event of a message from `topic`. `header` returns the value of a header by its lowercase name. Without a
    /// content type, the data is JSON.
    pub fn read<'a>(
        self,
        topic: &str,
        header: impl Fn(&str) -> Option<&'a str>,
        data: Bytes,
    ) -> Result<Event, NotAnEvent> {
        let optional = |name: &'static str| {
            let value = header(&format!("{}{name}", self.prefix));
            value.map(|value| self.decode(value).ok_or(NotAnEvent(name))).transpose()
        };
        let required = |name| optional(name)?.ok_or(NotAnEvent(name));
        let trace = header("traceparent").map(|parent| TraceContext {
            traceparent: parent.to_owned(),
            tracestate: header("tracestate").map(str::to_owned),
        });
        if required("specversion")? != SPEC_VERSION {
            return Err(NotAnEvent("specversion"));
        }
        Ok(Event {
            id: required("id")?.parse().map_err(|_| NotAnEvent("id"))?,
            name: required("type")?,
            source: required("source")?,
            topic: topic.to_owned(),
            key: optional("subject")?.unwrap_or_default(),
            time: required("time")?.parse().map_err(|_| NotAnEvent("time"))?,
            content_type: header(CONTENT_TYPE).unwrap_or(Json::CONTENT_TYPE).to_owned(),
            data,
            trace,
        })
    }

    fn decode(self, value: &str) -> Option<String> {
        if self.percent_encoded { percent_decode(value) } else { Some(value.to_owned()) }
    }
}

/// A message is not an event in the format of this workspace: this attribute is missing or invalid.
#[derive(Debug, thiserror::Error)]
#[error("attribute `{0}` is missing or invalid")]
pub struct NotAnEvent(pub &'static str);

/// Encodes the characters that the HTTP binding requires: space, `"`, `%` and everything except printable ASCII.
fn percent_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%') {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn percent_decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, remaining)) = rest.split_first() {
        if byte == b'%' {
            let (digits, remaining) = remaining.split_at_checked(2)?;
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
            rest = remaining;
        } else {
            bytes.push(byte);
            rest = remaining;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn event() -> Event {
        Event {
            id: Uuid::from_u128(7),
            name: "dogs.created".to_owned(),
            source: "/dogs".to_owned(),
            topic: "dogs.events".to_owned(),
            key: "h\u{fc}tte \"1\" 100%".to_owned(),
            time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
            content_type: "application/json".to_owned(),
            data: Bytes::from_static(br#"{"n": 18446744073709551615, "b":1.10}"#),
            trace: Some(TraceContext { traceparent: "00-1-2-01".to_owned(), tracestate: Some("a=b".to_owned()) }),
        }
    }

    fn read(binding: Binding, headers: &HashMap<String, String>) -> Result<Event, NotAnEvent> {
        binding.read("dogs.events", |name| headers.get(name).map(String::as_str), event().data)
    }

    #[test]
    fn headers_are_those_of_the_specification() {
        let headers: HashMap<_, _> = Binding::NATS.headers(&event()).into_iter().collect();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "00000000-0000-0000-0000-000000000007"),
            ("ce-type", "dogs.created"),
            ("ce-source", "/dogs"),
            ("ce-subject", "h%C3%BCtte%20%221%22%20100%25"),
            ("ce-time", "2023-11-14T22:13:20.007Z"),
            ("content-type", "application/json"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "a=b"),
        ] {
            assert_eq!(headers.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(headers.len(), 9);
    }

    #[test]
    fn every_binding_reads_what_it_writes() {
        for binding in [Binding::NATS, Binding::KAFKA, Binding::AMQP] {
            let plain = Event { key: String::new(), trace: None, ..event() };
            let bytes = Event { content_type: "application/protobuf".to_owned(), ..event() };
            for event in [event(), plain, bytes] {
                let headers = binding.headers(&event).into_iter().collect();
                assert_eq!(read(binding, &headers).unwrap(), event, "{binding:?}");
            }
        }
    }

    #[test]
    fn data_without_a_content_type_is_json() {
        let mut headers: HashMap<_, _> = Binding::KAFKA.headers(&event()).into_iter().collect();
        headers.remove("content-type").unwrap();
        assert_eq!(read(Binding::KAFKA, &headers).unwrap().content_type, "application/json");
    }

    #[test]
    fn a_missing_or_wrong_attribute_is_named() {
        let good: HashMap<_, _> = Binding::NATS.headers(&event()).into_iter().collect();
        for (name, wrong) in [
            ("specversion", Some("0.3")),
            ("id", Some("7")),
            ("time", Some("noon")),
            ("subject", Some("%ZZ")),
            ("subject", Some("%F")),
            ("subject", Some("%FF")),
            ("type", None),
            ("source", None),
            ("specversion", None),
        ] {
            let mut headers = good.clone();
            headers.remove(&format!("ce-{name}"));
            headers.extend(wrong.map(|wrong| (format!("ce-{name}"), wrong.to_owned())));
            let error = read(Binding::NATS, &headers).unwrap_err();
            assert!(matches!(error, NotAnEvent(found) if found == name), "{name}: {error}");
        }
    }
}
