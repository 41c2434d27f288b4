//! Domain events: typed data, and the envelope in which it is stored and published.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use crate::Timestamp;
use crate::codec::{Codec, CodecError, Json};

/// The data of one type of event, with its name, topic and encoding.
///
/// The name and the schema of the data are a public contract; a change that breaks readers needs a new name.
pub trait EventType: Sized {
    /// CloudEvents `type`, such as `dogs.created`.
    const NAME: &'static str;
    /// The topic to which it is published.
    const TOPIC: &'static str;

    /// How the data is encoded: [`Json`], unless there is a reason for [`Protobuf`](crate::codec::Protobuf).
    type Codec: Codec<Self>;

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
    /// `id`: unique; a redelivery has the same one. Consumer groups handle one event of an id, so a caller that may
    /// create an event twice gives it a [derived id](crate::id::derive_id).
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
    /// `datacontenttype`: the media type of the data.
    pub content_type: String,
    /// The data. Nothing between the publisher and the handler changes or decodes it.
    pub data: Bytes,
    /// The trace in which it happened.
    pub trace: Option<TraceContext>,
}

impl Event {
    /// Creates an envelope around `data`, without a trace. Fails when `data` cannot be encoded.
    pub fn new<E: EventType>(id: Uuid, source: &str, time: Timestamp, data: &E) -> Result<Self, CodecError> {
        Ok(Self {
            id,
            name: E::NAME.to_owned(),
            source: source.to_owned(),
            topic: E::TOPIC.to_owned(),
            key: data.key(),
            time,
            content_type: E::Codec::CONTENT_TYPE.to_owned(),
            data: E::Codec::encode(data)?,
            trace: None,
        })
    }

    /// Decodes the data as an `E`; `None` when the event has another type. Fails when the data does not match `E`, or has
    /// an encoding that the codec of `E` does not read.
    pub fn decode<E: EventType>(&self) -> Result<Option<E>, CodecError> {
        if self.name != E::NAME {
            return Ok(None);
        }
        if !E::Codec::reads(&self.content_type) {
            let (found, expected) = (self.content_type.clone(), E::Codec::CONTENT_TYPE);
            return Err(CodecError::ContentType { found, expected });
        }
        E::Codec::decode(&self.data).map(Some)
    }

    /// Returns the data for a JSON document, for people and for clients that do not know the type of the event.
    pub fn json_data(&self) -> JsonData {
        if !Json::is_json(&self.content_type) {
            return JsonData::DataBase64(BASE64.encode(&self.data));
        }
        let text = || String::from_utf8_lossy(&self.data).into();
        JsonData::Data(serde_json::from_slice(&self.data).unwrap_or_else(|_| text()))
    }
}

/// The data of an event as a member of a JSON document, as in the JSON format of CloudEvents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonData {
    /// JSON; a text if the data is not valid JSON, despite its content type.
    Data(serde_json::Value),
    /// Data of any other content type.
    DataBase64(String),
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::codec::Protobuf;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Barked {
        dog: String,
    }

    impl EventType for Barked {
        const NAME: &'static str = "dogs.barked";
        const TOPIC: &'static str = "dogs";

        type Codec = Json;

        fn key(&self) -> String {
            self.dog.clone()
        }
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Slept {
        #[prost(string, tag = "1")]
        dog: String,
        #[prost(int64, tag = "2")]
        seconds: i64,
    }

    impl EventType for Slept {
        const NAME: &'static str = "dogs.slept";
        const TOPIC: &'static str = "dogs";

        type Codec = Protobuf;

        fn key(&self) -> String {
            self.dog.clone()
        }
    }

    fn event(data: &impl EventType) -> Event {
        Event::new(Uuid::from_u128(1), "/dogs", Timestamp::from_millis(0).unwrap(), data).unwrap()
    }

    #[test]
    fn data_survives_the_envelope() {
        let rex = Barked { dog: "rex".to_owned() };
        let mut barked = event(&rex);
        assert_eq!((barked.topic.as_str(), barked.key.as_str()), ("dogs", "rex"));
        assert_eq!(barked.content_type, "application/json");
        assert_eq!(barked.decode::<Barked>().unwrap(), Some(rex));
        barked.name = "dogs.slept".to_owned();
        assert_eq!(barked.decode::<Barked>().unwrap(), None);
    }

    #[test]
    fn a_type_names_its_codec() {
        let rex = Slept { dog: "rex".to_owned(), seconds: -1 };
        let mut slept = event(&rex);
        assert_eq!((slept.content_type.as_str(), slept.key.as_str()), ("application/protobuf", "rex"));
        assert!(std::str::from_utf8(&slept.data).is_err(), "a case for bytes that are no text");
        assert_eq!(slept.decode::<Slept>().unwrap(), Some(rex));
        slept.content_type = "application/json".to_owned();
        let error = slept.decode::<Slept>().unwrap_err().to_string();
        assert_eq!(error, "event data has the content type `application/json`, not `application/protobuf`");
        slept = Event { data: Bytes::from_static(&[0xff]), ..event(&Slept::default()) };
        assert!(matches!(slept.decode::<Slept>(), Err(CodecError::Protobuf(_))));
    }

    #[test]
    fn data_is_shown_in_json_documents() {
        let shown = |event: &Event| serde_json::to_value(event.json_data()).unwrap();
        let barked = event(&Barked { dog: "rex".to_owned() });
        assert_eq!(shown(&barked), json!({ "data": { "dog": "rex" } }));
        assert_eq!(shown(&Event { data: "{".into(), ..barked }), json!({ "data": "{" }));
        let slept = event(&Slept { dog: "rex".to_owned(), seconds: 1 });
        assert_eq!(shown(&slept), json!({ "data_base64": "CgNyZXgQAQ==" }));
    }
}
