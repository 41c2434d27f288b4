//! Fields of frames.

use market_domain::{Micros, Side};

use crate::InvalidFrame;

/// Reads `buy` or `sell`.
pub(crate) fn side(text: &str) -> Result<Side, InvalidFrame> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(InvalidFrame::Side),
    }
}

/// Reads an RFC 3339 time.
pub(crate) fn time(text: &str) -> Result<Micros, InvalidFrame> {
    let time: jiff::Timestamp = text.parse().map_err(|_| InvalidFrame::Time)?;
    Ok(Micros(time.as_microsecond()))
}

/// Reads seconds since the Unix epoch with a fraction, such as `1688669597.8277369`, without a float.
pub(crate) fn seconds(text: &str) -> Result<Micros, InvalidFrame> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if seconds.is_empty() || !seconds.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit()) {
        return Err(InvalidFrame::Time);
    }
    let micros = format!("{seconds}{fraction:0<6.6}");
    micros.parse().map(Micros).map_err(|_| InvalidFrame::Time)
}

/// Reads a number of milliseconds or microseconds, whichever it is.
pub(crate) const fn unix(number: i64) -> Micros {
    // As milliseconds, this is the year 5138.
    const FIRST_MICROS: i64 = 100_000_000_000_000;
    Micros(if number < FIRST_MICROS { number.saturating_mul(1_000) } else { number })
}

/// Reads a frame from its start, without a JSON parser. What it does not expect is for that one.
pub(crate) struct Scanner<'a>(pub(crate) &'a str);

impl<'a> Scanner<'a> {
    /// Skips this text.
    pub(crate) fn text(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Reads a whole number of at most 18 digits, which is not negative.
    pub(crate) fn number(&mut self) -> Option<i64> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(length);
        let is_canonical = (1..=18).contains(&length) && (length == 1 || !digits.starts_with('0'));
        self.0 = rest;
        is_canonical.then(|| digits.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// Reads letters, digits and what numbers have, up to the end of a string.
    pub(crate) fn word(&mut self) -> Option<&'a str> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+".contains(byte);
        let (word, rest) = self.0.split_at(self.0.bytes().take_while(is_plain).count());
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        let flag = self.0.starts_with("true");
        self.text(if flag { "true" } else { "false" })?;
        Some(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        assert_eq!(time("2023-09-25T07:49:37.708706Z").unwrap(), Micros(1_695_628_177_708_706));
        assert_eq!(time("2023-09-25T07:49:37Z").unwrap(), Micros(1_695_628_177_000_000));
        assert!(time("yesterday").is_err());
        assert_eq!(seconds("1688669597.8277369").unwrap(), Micros(1_688_669_597_827_736));
        assert_eq!(seconds("1688669597.5").unwrap(), Micros(1_688_669_597_500_000));
        assert_eq!(seconds("1688669597").unwrap(), Micros(1_688_669_597_000_000));
        for text in ["", ".5", "1e9", "-1", "1.x", "99999999999999999999"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(unix(1_672_515_782_136), Micros(1_672_515_782_136_000));
        assert_eq!(unix(1_672_515_782_136_001), Micros(1_672_515_782_136_001));
    }
}
