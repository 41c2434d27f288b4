//! What happened, as told to others: typed events and the envelope they travel in.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::Timestamp;
use crate::json::{JsonError, read_object};

/// A kind of event: its data, its name and where it goes.
///
/// The name and the shape of the data are a public contract; a change that breaks readers takes a new name.
pub trait EventType: Serialize + DeserializeOwned + JsonSchema {
    /// CloudEvents `type`, such as `dogs.created`.
    const NAME: &'static str;
    /// The topic it is published to.
    const TOPIC: &'static str;

    /// What the event is about; events with one key keep their order.
    fn key(&self) -> String;
}

/// W3C Trace Context of whoever caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceContext {
    /// The `traceparent` header.
    pub traceparent: String,
    /// The `tracestate` header, where there is one.
    pub tracestate: Option<String>,
}

/// An event in its envelope. The fields are the attributes of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `id`: unique; a redelivery carries the same one.
    pub id: Uuid,
    /// `type`: which [`EventType`] the data is.
    pub name: String,
    /// `source`: the service that tells of it, such as `/dogs`.
    pub source: String,
    /// Topic it is published to.
    pub topic: String,
    /// `subject`: the key that orders it.
    pub key: String,
    /// `time`: when it happened.
    pub time: Timestamp,
    /// The data, as JSON.
    pub data: Bytes,
    /// The trace in which it happened.
    pub trace: Option<TraceContext>,
}

impl Event {
    /// Wraps `data`. The trace is left for the caller to add.
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

    /// The data, when the event is an `E`; `None` when it is of another type.
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
