//! Encodings of the data of events.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::BoxError;
use crate::json::{JsonError, read_object};

/// Why the data of an event cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The data has no representation in the encoding.
    #[error("event data cannot be encoded")]
    Encode(#[source] BoxError),
    /// The data is not the expected JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The data is not the expected protobuf message.
    #[error("event data is not the expected message")]
    Protobuf(#[from] prost::DecodeError),
    /// The data has another encoding.
    #[error("event data has the content type `{found}`, not `{expected}`")]
    ContentType {
        /// The content type of the event.
        found: String,
        /// The content type of the codec.
        expected: &'static str,
    },
}

/// Encodes and decodes data of the type `T`.
///
/// A value that was encoded is decoded as an equal value. Of a value that a newer version encoded, unknown fields are
/// ignored: pass on the bytes, not a new encoding.
pub trait Codec<T> {
    /// The media type of the encoding, which the event has as `datacontenttype`.
    const CONTENT_TYPE: &'static str;

    /// Encodes `data`.
    fn encode(data: &T) -> Result<Bytes, CodecError>;

    /// Decodes untrusted bytes.
    fn decode(data: &[u8]) -> Result<T, CodecError>;

    /// Returns whether it decodes this media type. Parameters, such as the charset, do not matter.
    fn reads(content_type: &str) -> bool {
        essence(content_type).eq_ignore_ascii_case(Self::CONTENT_TYPE)
    }
}

/// JSON objects, with the content type [`Json::CONTENT_TYPE`].
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Json {
    /// The content type of JSON; also of a message that has none.
    pub const CONTENT_TYPE: &'static str = "application/json";

    /// Returns whether a media type is JSON, such as `application/json; charset=utf-8` or `application/geo+json`.
    pub fn is_json(content_type: &str) -> bool {
        let essence = essence(content_type).to_ascii_lowercase();
        essence == Self::CONTENT_TYPE || essence.ends_with("+json")
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn encode(data: &T) -> Result<Bytes, CodecError> {
        serde_json::to_vec(data).map(Bytes::from).map_err(|error| CodecError::Encode(error.into()))
    }

    fn decode(data: &[u8]) -> Result<T, CodecError> {
        Ok(read_object(data)?)
    }

    fn reads(content_type: &str) -> bool {
        Self::is_json(content_type)
    }
}

/// Protobuf messages, with the content type [`Protobuf::CONTENT_TYPE`].
#[derive(Debug, Clone, Copy)]
pub struct Protobuf;

impl Protobuf {
    /// The content type of protobuf messages.
    pub const CONTENT_TYPE: &'static str = "application/protobuf";
}

impl<T: prost::Message + Default> Codec<T> for Protobuf {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn encode(data: &T) -> Result<Bytes, CodecError> {
        Ok(data.encode_to_vec().into())
    }

    fn decode(data: &[u8]) -> Result<T, CodecError> {
        Ok(T::decode(data)?)
    }
}

/// Returns a media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_parameters_and_case() {
        for json in ["application/json", "Application/JSON ; charset=utf-8", "application/geo+json"] {
            assert!(<Json as Codec<serde_json::Value>>::reads(json), "{json}");
        }
        for other in ["", "text/plain", "application/protobuf", "application/jsonx", "json"] {
            assert!(!Json::is_json(other), "{other}");
        }
        assert!(<Protobuf as Codec<()>>::reads("application/Protobuf; messageType=x"));
        assert!(!<Protobuf as Codec<()>>::reads("application/json"));
    }
}
