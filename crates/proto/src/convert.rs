//! The well-known types, to and from what the rest of the workspace uses.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value};
use serde_json::{Map, Value as Json};

/// The point `millis` milliseconds after the Unix epoch.
pub fn timestamp(millis: i64) -> Timestamp {
    let nanos = millis.rem_euclid(1_000) * 1_000_000;
    Timestamp { seconds: millis.div_euclid(1_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// Milliseconds since the Unix epoch; finer parts are cut off, and times too far away are moved to the last one there is.
pub fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos).div_euclid(1_000_000))
}

/// The JSON object as a message. Numbers become doubles, as `google.protobuf.Struct` has no others.
pub fn object(fields: Map<String, Json>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, json)| (name, value(json))).collect() }
}

fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() }),
        Json::Object(fields) => Kind::StructValue(object(fields)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_round_trip() {
        for (ms, seconds, nanos) in [(0, 0, 0), (1_700_000_000_007, 1_700_000_000, 7_000_000), (-1, -1, 999_000_000)] {
            let time = timestamp(ms);
            assert_eq!((time.seconds, time.nanos), (seconds, nanos));
            assert_eq!(millis(&time), ms);
        }
        assert_eq!(millis(&Timestamp { seconds: i64::MAX, nanos: 0 }), i64::MAX);
    }

    #[test]
    fn objects_keep_their_shape() {
        let Json::Object(fields) =
            serde_json::json!({ "id": "a", "n": 2, "on": true, "none": null, "in": { "l": ["x"] } })
        else {
            unreachable!("an object")
        };
        let message = object(fields);
        let kind = |name: &str| message.fields[name].kind.clone().unwrap();
        assert_eq!(kind("id"), Kind::StringValue("a".to_owned()));
        assert_eq!(kind("n"), Kind::NumberValue(2.0));
        assert_eq!(kind("on"), Kind::BoolValue(true));
        assert_eq!(kind("none"), Kind::NullValue(0));
        let Kind::StructValue(inner) = kind("in") else { panic!("{:?}", kind("in")) };
        let Some(Kind::ListValue(list)) = inner.fields["l"].kind.clone() else { panic!("{inner:?}") };
        assert_eq!(list.values, [Value { kind: Some(Kind::StringValue("x".to_owned())) }]);
    }
}
