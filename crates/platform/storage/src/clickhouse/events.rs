//! Events as records.

use std::fmt::Write as _;

use bytes::Bytes;
use kennel_core::{Event, RepoError, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The columns of an event.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EventRow {
    #[serde(rename = "event_id")]
    id: Uuid,
    #[serde(rename = "event_name")]
    name: String,
    #[serde(rename = "event_source")]
    source: String,
    #[serde(rename = "event_topic")]
    topic: String,
    #[serde(rename = "event_key")]
    key: String,
    #[serde(rename = "event_time")]
    time: i64,
    #[serde(rename = "event_content_type")]
    content_type: String,
    #[serde(rename = "event_data")]
    data: String,
    #[serde(rename = "event_binary")]
    binary: u8,
    #[serde(rename = "event_traceparent")]
    traceparent: Option<String>,
    #[serde(rename = "event_tracestate")]
    tracestate: Option<String>,
}

impl EventRow {
    pub(super) const fn id(&self) -> Uuid {
        self.id
    }
}

impl From<&Event> for EventRow {
    fn from(event: &Event) -> Self {
        let text = std::str::from_utf8(&event.data).ok();
        Self {
            id: event.id,
            name: event.name.clone(),
            source: event.source.clone(),
            topic: event.topic.clone(),
            key: event.key.clone(),
            time: event.time.as_millis(),
            content_type: event.content_type.clone(),
            data: text.map_or_else(|| hex(&event.data), str::to_owned),
            binary: text.is_none().into(),
            traceparent: event.trace.as_ref().map(|trace| trace.traceparent.clone()),
            tracestate: event.trace.as_ref().and_then(|trace| trace.tracestate.clone()),
        }
    }
}

impl TryFrom<EventRow> for Event {
    type Error = RepoError;

    fn try_from(row: EventRow) -> Result<Self, Self::Error> {
        let data = if row.binary == 0 { row.data.into_bytes() } else { unhex(&row.data)? };
        Ok(Self {
            id: row.id,
            name: row.name,
            source: row.source,
            topic: row.topic,
            key: row.key,
            time: timestamp(row.time)?,
            content_type: row.content_type,
            data: Bytes::from(data),
            trace: row.traceparent.map(|traceparent| TraceContext { traceparent, tracestate: row.tracestate }),
        })
    }
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, RepoError> {
    Timestamp::from_millis(millis).map_err(RepoError::corrupt)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, RepoError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<_> = text.as_bytes().chunks(2).map(byte).collect();
    bytes.ok_or_else(|| RepoError::Corrupt("data is not hexadecimal".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_through_hex() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)).unwrap(), bytes);
        for broken in ["0", "0g", "é0"] {
            assert!(unhex(broken).is_err(), "{broken}");
        }
    }
}
