//! Exporter settings of a signal.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::{Otlp, OtlpVariables, Protocol, Resolved, Variables, set};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Key and text of a variable.
type Set<'a> = (String, &'a str);

/// The variables of one signal, with those for all signals as a fallback.
struct Signal<'a> {
    name: &'static str,
    own: &'a OtlpVariables,
    all: &'a OtlpVariables,
}

impl Signal<'_> {
    fn get(&self, what: &str, of: fn(&OtlpVariables) -> Option<&String>) -> Option<Set<'_>> {
        let own = set(of(self.own)).map(|text| (format!("otel_exporter_otlp_{}_{what}", self.name), text));
        own.or_else(|| set(of(self.all)).map(|text| (format!("otel_exporter_otlp_{what}"), text)))
    }
}

impl Variables {
    /// Returns the exporter settings of the signal. `None` without an endpoint, unless the exporter `otlp` is selected:
    /// a process connects only to configured addresses.
    pub(super) fn otlp(
        &self,
        name: &'static str,
        exporter: Option<&String>,
        own: &OtlpVariables,
        resolved: &mut Resolved,
    ) -> Option<Otlp> {
        let signal = Signal { name, own, all: &self.otlp };
        let wanted = wanted(name, exporter, resolved);
        let endpoint = signal.get("endpoint", |variables| variables.endpoint.as_ref());
        if wanted == Some(false) || (wanted.is_none() && endpoint.is_none()) {
            return None;
        }
        let protocol = protocol(&signal, resolved);
        Some(Otlp {
            endpoint: address(&signal, endpoint.as_ref(), protocol, resolved),
            protocol,
            headers: headers(&signal, resolved),
            timeout: timeout(&signal, resolved),
            gzip: gzip(&signal, resolved),
        })
    }
}

/// Returns whether the signal is exported; `None` if the variable does not decide it.
fn wanted(signal: &str, exporter: Option<&String>, resolved: &mut Resolved) -> Option<bool> {
    let mut wanted = None;
    for name in set(exporter)?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "otlp" => wanted = Some(true),
            "none" => wanted = wanted.or(Some(false)),
            other => {
                let reason = format!("{other:?} is ignored: it must be otlp or none");
                resolved.warn(format!("otel_{signal}_exporter"), reason);
            }
        }
    }
    wanted
}

fn protocol(signal: &Signal<'_>, resolved: &mut Resolved) -> Protocol {
    match signal.get("protocol", |variables| variables.protocol.as_ref()) {
        None | Some((_, "grpc")) => Protocol::Grpc,
        Some((_, "http/protobuf")) => Protocol::HttpProtobuf,
        Some((key, other)) => {
            resolved.warn(key, format!("{other:?} is ignored: it must be grpc or http/protobuf; grpc is used"));
            Protocol::Grpc
        }
    }
}

/// Returns the endpoint. For HTTP, an endpoint for all signals is a base URL; the signal's own is used unchanged.
fn address(signal: &Signal<'_>, endpoint: Option<&Set<'_>>, protocol: Protocol, resolved: &mut Resolved) -> String {
    let own = set(signal.own.endpoint.as_ref()).is_some();
    let base = match (endpoint, protocol) {
        (Some((_, text)), _) => *text,
        (None, Protocol::Grpc) => "http://localhost:4317",
        (None, Protocol::HttpProtobuf) => "http://localhost:4318",
    };
    if let Some((key, text)) = endpoint
        && !is_address(text)
    {
        resolved.refuse(key.as_str(), "must be an http or https URL without a user or a password");
    }
    match protocol {
        Protocol::HttpProtobuf if !own => format!("{}/v1/{}", base.trim_end_matches('/'), signal.name),
        _ => base.to_owned(),
    }
}

/// The URL is printed, so it must not contain a password; use headers for that.
fn is_address(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        let bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        matches!(uri.scheme_str(), Some("http" | "https")) && bare
    })
}

/// `name=value`, several with commas; values are percent-encoded.
fn headers(signal: &Signal<'_>, resolved: &mut Resolved) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some((key, text)) = signal.get("headers", |variables| variables.headers.as_ref()) else { return headers };
    for (entry, number) in text.split(',').map(str::trim).zip(1..).filter(|(entry, _)| !entry.is_empty()) {
        match header(entry) {
            Some((name, value)) => drop(headers.insert(name, value)),
            // Not quoted: it may be part of a password.
            None => resolved.warn(key.as_str(), format!("entry {number} is ignored: it must be name=value")),
        }
    }
    headers
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

fn timeout(signal: &Signal<'_>, resolved: &mut Resolved) -> Duration {
    let Some((key, text)) = signal.get("timeout", |variables| variables.timeout.as_ref()) else {
        return DEFAULT_TIMEOUT;
    };
    if let Ok(millis @ 1..) = text.parse::<u32>() {
        return Duration::from_millis(millis.into());
    }
    resolved.warn(key, format!("{text:?} is ignored: it must be a number of milliseconds, from 1"));
    DEFAULT_TIMEOUT
}

fn gzip(signal: &Signal<'_>, resolved: &mut Resolved) -> bool {
    match signal.get("compression", |variables| variables.compression.as_ref()) {
        None | Some((_, "none")) => false,
        Some((_, "gzip")) => true,
        Some((key, other)) => {
            resolved.warn(key, format!("{other:?} is ignored: it must be gzip or none"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what a variable that is set looks like")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn all(endpoint: &str, protocol: &str) -> Variables {
        let otlp = OtlpVariables { endpoint: some(endpoint), protocol: some(protocol), ..OtlpVariables::default() };
        Variables { otlp, ..Variables::default() }
    }

    fn endpoints(variables: &Variables) -> (Option<String>, Option<String>) {
        let resolved = variables.resolve();
        assert_eq!((&resolved.warnings, &resolved.problems), (&Vec::new(), &Vec::new()));
        (resolved.traces.map(|otlp| otlp.endpoint), resolved.logs.map(|otlp| otlp.endpoint))
    }

    #[test]
    fn endpoints_follow_the_protocol() {
        let grpc = some("http://c:4317");
        assert_eq!(endpoints(&all("http://c:4317", "")), (grpc.clone(), grpc.clone()));
        for base in ["http://c/otlp", "http://c/otlp/"] {
            let expected = (some("http://c/otlp/v1/traces"), some("http://c/otlp/v1/logs"));
            assert_eq!(endpoints(&all(base, "http/protobuf")), expected);
        }
        let mut mixed = all("http://c:4317", "grpc");
        mixed.otlp_logs = OtlpVariables {
            endpoint: some("http://c:4318/lines"),
            protocol: some("http/protobuf"),
            ..OtlpVariables::default()
        };
        assert_eq!(endpoints(&mixed), (grpc, some("http://c:4318/lines")), "a signal's own is not a base");
    }

    #[test]
    fn nothing_is_exported_by_default() {
        assert_eq!(endpoints(&all("", "http/protobuf")), (None, None));
        let traces = Variables { traces_exporter: some("otlp"), ..all("", "http/protobuf") };
        assert_eq!(endpoints(&traces), (some("http://localhost:4318/v1/traces"), None));
        let lines = Variables { traces_exporter: some("none"), ..all("http://c:4317", "") };
        assert_eq!(endpoints(&lines), (None, some("http://c:4317")));
        let neither =
            Variables { traces_exporter: some("none"), logs_exporter: some("none"), ..all("nonsense", "pigeon") };
        assert_eq!(endpoints(&neither), (None, None));
    }

    #[test]
    fn unsupported_values_are_ignored_and_named_once() {
        let otlp = OtlpVariables {
            endpoint: some("http://c:4317"),
            protocol: some("http/json"),
            headers: some("authorization=Basic%20aHVudGVyMg==,hunter2,tenant = a ,,broken name=x"),
            timeout: some("0"),
            compression: some("zstd"),
        };
        let resolved = Variables { otlp, logs_exporter: some("console"), ..Variables::default() }.resolve();
        let keys: Vec<_> = resolved.warnings.iter().map(|(key, _)| key.trim_start_matches("otel_")).collect();
        let headers = "exporter_otlp_headers";
        let expected = [
            "exporter_otlp_protocol",
            headers,
            headers,
            "exporter_otlp_timeout",
            "exporter_otlp_compression",
            "logs_exporter",
        ];
        assert_eq!(keys, expected);
        assert!(!format!("{resolved:?}").contains("hunter2"), "{resolved:?}");
        let sent = resolved.traces.unwrap();
        assert_eq!((sent.protocol, sent.timeout, sent.gzip), (Protocol::Grpc, DEFAULT_TIMEOUT, false));
        assert_eq!((sent.headers.len(), &sent.headers["tenant"]), (2, &HeaderValue::from_static("a")));
        assert_eq!(sent.headers["authorization"], "Basic aHVudGVyMg==");
        assert!(!format!("{sent:?}").contains("aHVudGVyMg"), "{sent:?}");
    }

    #[test]
    fn an_invalid_endpoint_is_a_problem() {
        for bad in ["collector:4317", "ftp://c", "http://user:hunter2@c:4317", "http://"] {
            let resolved = all(bad, "").resolve();
            let [(key, reason)] = &resolved.problems[..] else { panic!("{bad}: {resolved:?}") };
            assert_eq!(key, "otel_exporter_otlp_endpoint");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
