//! How long a call may take: the limit of its route, and that of a gRPC caller.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The time that the caller of a gRPC method gives it.
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// More digits are invalid.
const MAX_DIGITS: usize = 8;

/// The value of `grpc-timeout`; `None` if it is absent or invalid.
pub(crate) fn of_caller(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let valid = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let amount: u64 = if valid { digits.parse().ok()? } else { return None };
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Writes a time in the unit that has room for it, rounded down.
pub(crate) fn value(timeout: Duration) -> HeaderValue {
    let fits = |amount: u128| amount < 10_u128.pow(8);
    let text = [(timeout.as_micros(), "u"), (timeout.as_millis(), "m")]
        .into_iter()
        .find(|(amount, _)| fits(*amount))
        .map_or_else(|| format!("{}S", timeout.as_secs().min(99_999_999)), |(amount, unit)| format!("{amount}{unit}"));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("1S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Option<Duration> {
        of_caller(&HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(value))]))
    }

    #[test]
    fn timeouts_are_read_and_written() {
        for (text, expected) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for invalid in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1.5S"] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
        for (time, expected) in [
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(1_000), "1000000m"),
            (Duration::from_hours(30), "108000S"),
            (Duration::ZERO, "0u"),
        ] {
            assert_eq!(value(time), expected);
        }
    }
}
