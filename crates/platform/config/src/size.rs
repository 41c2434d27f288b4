//! Numbers of bytes in human-readable form.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written such as `10MiB`, `64 KiB`, `5MB` or `4096`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// The text is not a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidByteSize;

/// In descending order, so that the first unit that divides a size is used to print it.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
];

impl ByteSize {
    /// Creates a size of this many kibibytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// Creates a size of this many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// Creates a size of this many gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Returns the number of bytes as `usize`, or the maximum of `usize`.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for InvalidByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a number of bytes such as 10MiB, 64KiB or 4096")
    }
}

impl std::error::Error for InvalidByteSize {}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|&(_, factor)| factor);
        let plain = (unit.is_empty() || unit.eq_ignore_ascii_case("B")).then_some(1);
        let factor = known.or(plain).ok_or(InvalidByteSize)?;
        let number: u64 = number.parse().map_err(|_| InvalidByteSize)?;
        number.checked_mul(factor).map(Self).ok_or(InvalidByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|&&(_, factor)| self.0 != 0 && self.0.is_multiple_of(factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            // The alternate form always has a unit.
            None => write!(f, "{}{}", self.0, if f.alternate() { "B" } else { "" }),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "number of bytes" })
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
        for (bytes, text) in
            [(0, "0"), (1_000, "1KB"), (1_025, "1025"), (10 << 20, "10MiB"), (u64::MAX, "18446744073709551615")]
        {
            assert_eq!(ByteSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        for text in ["64 KiB", "64kib", " 65536 ", "65536B"] {
            assert_eq!(text.parse(), Ok(ByteSize::kib(64)), "{text}");
        }
    }

    #[test]
    fn rejects_invalid_text_and_overflow() {
        for bad in ["", "MiB", "-1", "1.5MiB", "10 MiB x", "10 sheep", "99999999TiB"] {
            assert_eq!(bad.parse::<ByteSize>(), Err(InvalidByteSize), "{bad:?}");
        }
    }
}
