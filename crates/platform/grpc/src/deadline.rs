//! Deadlines of calls.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::methods::Method;
use crate::metrics::Fault;

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// When the response of a call must have started, and when the call must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) response: Option<Limit>,
    pub(crate) end: Option<Limit>,
}

/// A time at which a call is aborted, and who is at fault: whoever set the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) at: Instant,
    pub(crate) fault: Fault,
}

impl Deadline {
    /// Combines the caller's timeout with the server's `cap`. The cap does not apply to streams, which may last longer.
    pub(crate) fn of(headers: &HeaderMap, method: &Method, cap: Duration) -> Self {
        let now = Instant::now();
        let limit = |after: Duration, fault| now.checked_add(after).map(|at| Limit { at, fault });
        let requested = requested(headers);
        let capped = match requested {
            Some(requested) if requested < cap => limit(requested, Fault::Caller),
            _ => limit(cap, Fault::Server),
        };
        let requested = requested.and_then(|requested| limit(requested, Fault::Caller));
        let response = if method.client_streaming { requested } else { capped };
        let end = if method.client_streaming || method.server_streaming { requested } else { capped };
        Self { response, end }
    }
}

/// The timeout in the headers of a request.
pub(crate) fn requested(headers: &HeaderMap) -> Option<Duration> {
    headers.get(GRPC_TIMEOUT).and_then(|value| parse(value.as_bytes()))
}

/// Sets the timeout of a request, rounded down to at most eight digits.
pub(crate) fn insert(headers: &mut HeaderMap, timeout: Duration) {
    const MAX: u128 = 99_999_999;
    let (micros, millis) = (timeout.as_micros(), timeout.as_millis());
    let text = match (micros, millis) {
        (..=MAX, _) => format!("{micros}u"),
        (_, ..=MAX) => format!("{millis}m"),
        _ => format!("{}S", u128::from(timeout.as_secs()).min(MAX)),
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

/// Parses one to eight digits and a unit. Anything else counts as no timeout.
fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 60 * 60),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_timeouts_of_the_specification() {
        for (text, expected) in [
            ("2H", Some(Duration::from_hours(2))),
            ("1M", Some(Duration::from_mins(1))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("-5S", None),
            ("+5S", None),
            ("5 S", None),
            ("5s", None),
            ("123456789S", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn timeouts_are_sent_as_they_are_parsed() {
        for (timeout, text) in [
            (Duration::ZERO, "0u"),
            (Duration::from_millis(5), "5000u"),
            (Duration::from_nanos(99_999_999_999), "99999999u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_hours(24), "86400000m"),
            (Duration::from_hours(28), "100800S"),
            (Duration::MAX, "99999999S"),
        ] {
            let mut headers = HeaderMap::new();
            insert(&mut headers, timeout);
            assert_eq!(headers[GRPC_TIMEOUT], text);
            assert!(requested(&headers).unwrap() <= timeout);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_may_exceed_the_servers_timeout_but_not_the_callers() {
        let cap = Duration::from_secs(30);
        let kinds = |client_streaming, server_streaming| Method {
            service: String::new(),
            name: String::new(),
            client_streaming,
            server_streaming,
            idempotency: prost_types::method_options::IdempotencyLevel::default(),
        };
        let after = |asked: Option<&'static str>, method: &Method| {
            let mut headers = HeaderMap::new();
            if let Some(asked) = asked {
                headers.insert(GRPC_TIMEOUT, asked.parse().unwrap());
            }
            let deadline = Deadline::of(&headers, method, cap);
            let seen = |limit: Option<Limit>| limit.map(|limit| ((limit.at - Instant::now()).as_secs(), limit.fault));
            (seen(deadline.response), seen(deadline.end))
        };
        let caller = |seconds| Some((seconds, Fault::Caller));
        let server = |seconds| Some((seconds, Fault::Server));
        assert_eq!(after(None, &kinds(false, false)), (server(30), server(30)));
        assert_eq!(after(Some("5S"), &kinds(false, false)), (caller(5), caller(5)));
        assert_eq!(after(Some("30S"), &kinds(false, false)), (server(30), server(30)));
        assert_eq!(after(Some("1H"), &kinds(false, false)), (server(30), server(30)));
        assert_eq!(after(None, &kinds(false, true)), (server(30), None));
        assert_eq!(after(Some("1H"), &kinds(false, true)), (server(30), caller(3_600)));
        assert_eq!(after(None, &kinds(true, false)), (None, None));
        assert_eq!(after(Some("1H"), &kinds(true, true)), (caller(3_600), caller(3_600)));
    }
}
