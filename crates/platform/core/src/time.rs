//! The clock port and timestamps: UTC in whole milliseconds, the precision that every store supports.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Its text form is RFC 3339 with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The number is outside the years that RFC 3339 and Protocol Buffers both support, or the text is not RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("must be an RFC 3339 time of the years 1 to 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    const MIN: i64 = -62_135_596_800_000; // 0001-01-01T00:00:00.000Z, the first one of google.protobuf.Timestamp
    const MAX: i64 = 253_402_207_200_000; // 9999-12-30T22:00:00.000Z, the last one that jiff writes

    /// Creates a timestamp `millis` milliseconds after the Unix epoch. Fails when it is out of range.
    pub const fn from_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if millis < Self::MIN || millis > Self::MAX { Err(InvalidTimestamp) } else { Ok(Self(millis)) }
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns this time plus `by`, or the latest timestamp.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(Self::MAX))
    }

    /// Returns this time minus `by`, or the earliest timestamp.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(Self::MIN))
    }

    /// Returns the time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_rfc3339()).map_err(|_| fmt::Error)?)
    }
}

impl Timestamp {
    /// The text form. Written by hand, because every response with a time formats some.
    fn to_rfc3339(self) -> [u8; 24] {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let (days, millis) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (seconds, minutes, hours) = (millis / 1_000, millis / 60_000, millis / 3_600_000);
        for (range, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, hours),
            (14..16, minutes % 60),
            (17..19, seconds % 60),
            (20..23, millis % 1_000),
        ] {
            let mut rest = number;
            for digit in text[range].iter_mut().rev() {
                *digit += u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
        text
    }
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The year, month and day of the Gregorian calendar, `days` after 1970-01-01, by Howard Hinnant's algorithm
/// (`civil_from_days`): it counts in eras of 400 years, and years that begin in March.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year_of_era, month + 3) } else { (year_of_era + 1, month - 9) };
    (year + era * 400, month, day)
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Parses RFC 3339 with any offset; truncates to milliseconds. A leap second is the second before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The library also parses other formats of ISO 8601, and offsets of more than a day.
        if !is_rfc3339(text.as_bytes()) {
            return Err(InvalidTimestamp);
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Self::from_millis(time.as_millisecond())
    }
}

/// Whether this has the form of RFC 3339, section 5.6, with a valid offset. Dates and times are not validated.
fn is_rfc3339(text: &[u8]) -> bool {
    let is_form = |text: &[u8], form: &[u8]| {
        text.len() == form.len()
            && text.iter().zip(form).all(|(byte, of)| if *of == b'0' { byte.is_ascii_digit() } else { byte == of })
    };
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let Some((time, rest)) = rest.split_at_checked(9) else { return false };
    let has_separator = matches!(time[0], b'T' | b't' | b' ');
    let offset = match rest.strip_prefix(b".") {
        Some(fraction) => match fraction.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(end) if end > 0 => &fraction[end..],
            _ => return false,
        },
        None => rest,
    };
    let is_offset = match offset {
        b"Z" | b"z" => true,
        [b'+' | b'-', offset @ ..] => is_form(offset, b"00:00") && offset[..2] <= b"23"[..] && offset[3..] <= b"59"[..],
        _ => false,
    };
    is_form(date, b"0000-00-00") && has_separator && is_form(&time[1..], b"00:00:00") && is_offset
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.to_rfc3339()).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Source of the current time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only code that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(Timestamp::MAX).min(Timestamp::MAX))
    }
}

/// A clock that tests advance explicitly.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `start` until it is advanced.
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Advances the clock by `by`.
    pub fn advance(&self, by: Duration) {
        let next = self.now().saturating_add(by);
        self.0.store(next.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_three_decimals_and_parses_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
            (Timestamp::MIN, "0001-01-01T00:00:00.000Z"),
            (Timestamp::MAX, "9999-12-30T22:00:00.000Z"),
        ] {
            let time = Timestamp::from_millis(millis).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), time);
        }
    }

    #[test]
    fn formats_as_the_library_does() {
        let step = usize::try_from(DAY * 29 + 3_723_004).unwrap();
        for millis in (Timestamp::MIN..=Timestamp::MAX).step_by(step) {
            let expected = format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap());
            assert_eq!(Timestamp(millis).to_string(), expected);
        }
    }

    #[test]
    fn parses_other_offsets_and_truncates_to_milliseconds() {
        let time: Timestamp = "2023-11-15T00:13:20.0079+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.007Z");
    }

    #[test]
    fn parses_only_rfc_3339() {
        for text in
            ["2026-11-29T21:00:00Z", "2026-11-29t21:00:00z", "2026-11-29 21:00:00.5-23:59", "2016-12-31T23:59:60Z"]
        {
            assert!(text.parse::<Timestamp>().is_ok(), "{text}");
        }
        for end in ["+25:00", "+24:00", "+0100", "+01", "+01:60", "Z[Europe/Berlin]", ",5Z", ".Z", "", "-00:0"] {
            let text = format!("2026-11-29T21:00:00{end}");
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        for text in
            ["2026-11-29T21:00Z", "20261129T210000Z", "2026-11-29", "2026-11-29T24:00:00Z", "+2026-11-29T21:00:00Z"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn rejects_times_that_it_cannot_format() {
        assert!(Timestamp::from_millis(Timestamp::MAX + 1).is_err());
        assert!(Timestamp::from_millis(Timestamp::MIN - 1).is_err());
        assert!("0000-12-31T23:59:59.999Z".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn manual_clock_moves_only_when_advanced() {
        let clock = ManualClock::new(Timestamp(5));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp(1005));
        assert_eq!(clock.now().since(Timestamp(5)), Duration::from_secs(1));
    }
}
