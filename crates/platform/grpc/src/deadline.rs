//! How long a call may take.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::methods::Method;
use crate::metrics::Fault;

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// When a call must have begun to answer, and when it must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) begin: Option<Limit>,
    pub(crate) end: Option<Limit>,
}

/// A moment after which a call is cut, and whose failure that is: of whoever set the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) at: Instant,
    pub(crate) fault: Fault,
}

impl Deadline {
    /// What the caller asks for, capped by the server's own `cap` where no stream may rightly last longer.
    pub(crate) fn of(headers: &HeaderMap, method: &Method, cap: Duration) -> Self {
        let now = Instant::now();
        let limit = |after: Duration, fault| now.checked_add(after).map(|at| Limit { at, fault });
        let asked = headers.get(GRPC_TIMEOUT).and_then(|value| parse(value.as_bytes()));
        let capped = match asked {
            Some(asked) if asked < cap => limit(asked, Fault::Caller),
            _ => limit(cap, Fault::Server),
        };
        let asked = asked.and_then(|asked| limit(asked, Fault::Caller));
        let begin = if method.client_streaming { asked } else { capped };
        let end = if method.client_streaming || method.server_streaming { asked } else { capped };
        Self { begin, end }
    }
}

/// Reads one to eight digits and a unit; anything else is as no timeout.
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
    fn reads_timeouts_of_the_specification() {
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

    #[tokio::test(start_paused = true)]
    async fn streams_outlive_the_servers_cap_and_not_the_callers_wish() {
        let cap = Duration::from_secs(30);
        let kinds = |client_streaming, server_streaming| Method {
            service: String::new(),
            name: String::new(),
            client_streaming,
            server_streaming,
        };
        let after = |asked: Option<&'static str>, method: &Method| {
            let mut headers = HeaderMap::new();
            if let Some(asked) = asked {
                headers.insert(GRPC_TIMEOUT, asked.parse().unwrap());
            }
            let deadline = Deadline::of(&headers, method, cap);
            let seen = |limit: Option<Limit>| limit.map(|limit| ((limit.at - Instant::now()).as_secs(), limit.fault));
            (seen(deadline.begin), seen(deadline.end))
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
