//! Durations in human-readable form.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, SpanParser, SpanPrinter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

static PRINTER: SpanPrinter = SpanPrinter::new().designator(Designator::Compact);

/// A duration, written such as `30s`, `250ms` or `1h 30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// Creates a duration of this many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Creates a duration of this many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Creates a duration of this many minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self(Duration::from_mins(minutes))
    }

    /// Creates a duration of this many hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self(Duration::from_hours(hours))
    }

    /// Returns the duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&PRINTER.unsigned_duration_to_string(&self.0))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDuration;

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a duration such as 30s, 250ms or 1h 30m")
    }
}

impl std::error::Error for InvalidDuration {}

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SpanParser::new().parse_unsigned_duration(text.trim()).map(Self).map_err(|_| InvalidDuration)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "duration" })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for (millis, text) in [(0, "0s"), (250, "250ms"), (30_000, "30s"), (5_400_000, "1h 30m"), (1_500, "1s 500ms")] {
            let span = HumanDuration::from_millis(millis);
            assert_eq!(span.to_string(), text);
            assert_eq!(serde_json::from_value::<HumanDuration>(text.into()).unwrap(), span);
        }
    }

    #[test]
    fn rejects_missing_units_and_negative_durations() {
        for bad in ["", "30", "-30s", "soon", "1 fortnight", "30s x"] {
            assert!(serde_json::from_value::<HumanDuration>(bad.into()).is_err(), "{bad:?}");
        }
    }
}
