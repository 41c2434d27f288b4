//! Lengths of candles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// The length of a candle. Each is a multiple of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timeframe {
    /// One minute.
    #[serde(rename = "1m")]
    M1,
    /// Five minutes.
    #[serde(rename = "5m")]
    M5,
    /// A quarter of an hour.
    #[serde(rename = "15m")]
    M15,
    /// One hour.
    #[serde(rename = "1h")]
    H1,
    /// Four hours.
    #[serde(rename = "4h")]
    H4,
    /// One day, from midnight UTC.
    #[serde(rename = "1d")]
    D1,
}

/// There is no timeframe of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `1m`, `5m`, `15m`, `1h`, `4h` or `1d`")]
pub struct UnknownTimeframe;

impl Timeframe {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [Self::M1, Self::M5, Self::M15, Self::H1, Self::H4, Self::D1];

    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::H4 => "4h",
            Self::D1 => "1d",
        }
    }

    /// Its length in microseconds.
    pub const fn micros(self) -> i64 {
        let minutes = match self {
            Self::M1 => 1,
            Self::M5 => 5,
            Self::M15 => 15,
            Self::H1 => 60,
            Self::H4 => 240,
            Self::D1 => 1_440,
        };
        minutes * 60 * Micros::SECOND
    }

    /// The start of the candle that includes `time`.
    pub const fn open_of(self, time: Micros) -> Micros {
        Micros(time.0.div_euclid(self.micros()).saturating_mul(self.micros()))
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Timeframe {
    type Err = UnknownTimeframe;

    fn from_str(text: &str) -> Result<Self, UnknownTimeframe> {
        Self::ALL.into_iter().find(|timeframe| timeframe.name() == text).ok_or(UnknownTimeframe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candle_includes_its_start_and_not_its_end() {
        let minute = Timeframe::M1.micros();
        for (time, open) in [(0, 0), (minute - 1, 0), (minute, minute), (-1, -minute)] {
            assert_eq!(Timeframe::M1.open_of(Micros(time)), Micros(open), "{time}");
        }
    }

    #[test]
    fn each_is_a_multiple_of_the_one_before_it() {
        for pair in Timeframe::ALL.windows(2) {
            assert_eq!(pair[1].micros() % pair[0].micros(), 0);
        }
        for timeframe in Timeframe::ALL {
            assert_eq!(timeframe.name().parse(), Ok(timeframe));
            assert_eq!(serde_json::to_value(timeframe).unwrap(), timeframe.name());
        }
    }
}
