//! Conversions between well-known types and the types of the workspace.

use std::ops::{Range, RangeInclusive};
use std::time::Duration as StdDuration;

use prost_types::value::Kind;
use prost_types::{Duration, ListValue, Struct, Timestamp, Value};
use serde_json::{Map, Value as Json};

/// From 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS: Range<i32> = 0..1_000_000_000;

/// The time `millis` milliseconds after the Unix epoch.
pub fn timestamp(millis: i64) -> Timestamp {
    let nanos = millis.rem_euclid(1_000) * 1_000_000;
    Timestamp { seconds: millis.div_euclid(1_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// The duration; at most that of 10,000 years, the limit of `google.protobuf.Duration`.
pub fn duration(duration: StdDuration) -> Duration {
    const MAX_SECONDS: u64 = 315_576_000_000;
    let seconds = i64::try_from(duration.as_secs().min(MAX_SECONDS)).unwrap_or_default();
    Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default() }
}

/// Milliseconds since the Unix epoch, rounded down. Returns `None` for an invalid `google.protobuf.Timestamp`: a year
/// before 1 or after 9999, or nanoseconds that are negative or a second or more.
pub fn millis(time: &Timestamp) -> Option<i64> {
    let valid = SECONDS.contains(&time.seconds) && NANOS.contains(&time.nanos);
    valid.then(|| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000))
}

/// Converts a JSON object to a message. Numbers become doubles, the only numbers of `google.protobuf.Struct`.
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
            assert_eq!(millis(&time), Some(ms));
        }
    }

    #[test]
    fn durations_have_seconds_and_nanoseconds() {
        assert_eq!(duration(StdDuration::from_millis(1_500)), Duration { seconds: 1, nanos: 500_000_000 });
        assert_eq!(duration(StdDuration::MAX).seconds, 315_576_000_000);
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for (seconds, nanos, ms) in [
            (-62_135_596_800, 0, Some(-62_135_596_800_000)),
            (-62_135_596_801, 999_999_999, None),
            (253_402_300_799, 999_999_999, Some(253_402_300_799_999)),
            (253_402_300_800, 0, None),
            (1_764_374_400_000, 0, None),
            (i64::MAX, 0, None),
            (i64::MIN, 0, None),
            (0, -1, None),
            (0, i32::MIN, None),
            (0, 999_999_999, Some(999)),
            (0, 1_000_000_000, None),
        ] {
            assert_eq!(millis(&Timestamp { seconds, nanos }), ms, "{seconds} {nanos}");
        }
    }

    #[test]
    fn objects_retain_their_structure() {
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
