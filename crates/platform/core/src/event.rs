//! Domain events: typed data, and the envelope in which it is stored and published.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::Timestamp;
use crate::json::{JsonError, read_object};

/// The data of one type of event, with its name and topic.
///
/// The name and the schema of the data are a public contract; a change that breaks readers needs a new name.
pub trait EventType: Serialize + DeserializeOwned + JsonSchema {
    /// CloudEvents `type`, such as `dogs.created`.
    const NAME: &'static str;
    /// The topic to which it is published.
    const TOPIC: &'static str;

    /// Returns the ordering key, such as the id of the entity: events with one key are delivered in order.
    fn key(&self) -> String;
}

/// W3C Trace Context of the request that caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceContext {
    /// The `traceparent` header.
    pub traceparent: String,
    /// The `tracestate` header, if any.
    pub tracestate: Option<String>,
}

/// An event in its envelope. The fields are the attributes of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `id`: unique; a redelivery has the same one.
    pub id: Uuid,
    /// `type`: the [`EventType::NAME`] of the data.
    pub name: String,
    /// `source`: the service that published it, such as `/dogs`.
    pub source: String,
    /// The topic to which it is published.
    pub topic: String,
    /// `subject`: the ordering key.
    pub key: String,
    /// `time`: when it happened.
    pub time: Timestamp,
    /// The data, as JSON.
    pub data: Bytes,
    /// The trace in which it happened.
    pub trace: Option<TraceContext>,
}

impl Event {
    /// Creates an envelope around `data`, without a trace. Fails when `data` cannot be serialized.
    pub fn new<E: EventType>(id: Uuid, source: &str, time: Timestamp, data: &E) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id,
            name: E::NAME.to_owned(),
            source: source.to_owned(),
            topic: E::TOPIC.to_owned(),
            key: data.key(),
            time,
            data: serde_json::to_vec(data)?.into(),
            trace: None,
        })
    }

    /// Decodes the data as an `E`; `None` when the event has another type. Fails when the data does not match `E`.
    pub fn decode<E: EventType>(&self) -> Result<Option<E>, JsonError> {
        if self.name != E::NAME {
            return Ok(None);
        }
        read_object(&self.data).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Barked {
        dog: String,
    }

    impl EventType for Barked {
        const NAME: &'static str = "dogs.barked";
        const TOPIC: &'static str = "dogs";

        fn key(&self) -> String {
            self.dog.clone()
        }
    }

    #[test]
    fn data_survives_the_envelope() {
        let rex = Barked { dog: "rex".to_owned() };
        let mut event = Event::new(Uuid::from_u128(1), "/dogs", Timestamp::from_millis(0).unwrap(), &rex).unwrap();
        assert_eq!((event.topic.as_str(), event.key.as_str()), ("dogs", "rex"));
        assert_eq!(event.decode::<Barked>().unwrap(), Some(rex));
        event.name = "dogs.slept".to_owned();
        assert_eq!(event.decode::<Barked>().unwrap(), None);
    }
}
