//! Exporter settings of a signal.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use kennel_config::Problems;
use percent_encoding::percent_decode_str;

use super::variables::ExporterVariables;
use super::{OtelConfig, Otlp, Protocol, set};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Key and text of a variable.
type Set<'a> = (String, &'a str);

/// The variables of one signal, with those for all signals as a fallback.
struct Signal<'a> {
    name: &'static str,
    own: ExporterVariables<'a>,
    all: ExporterVariables<'a>,
}

impl<'a> Signal<'a> {
    fn get(&self, what: &str, of: fn(ExporterVariables<'a>) -> Option<&'a str>) -> Option<Set<'a>> {
        let own = of(self.own).map(|text| (format!("otel_exporter_otlp_{}_{what}", self.name), text));
        own.or_else(|| of(self.all).map(|text| (format!("otel_exporter_otlp_{what}"), text)))
    }
}

impl OtelConfig {
    /// Returns the exporter settings of the signal. `None` without an endpoint, unless the exporter `otlp` is selected:
    /// a process connects only to configured addresses.
    pub(super) fn exporter(
        &self,
        name: &'static str,
        exporter: Option<&String>,
        own: ExporterVariables<'_>,
        problems: &mut Problems,
    ) -> Option<Otlp> {
        let signal = Signal { name, own, all: self.otlp() };
        let wanted = wanted(name, exporter, problems);
        let endpoint = signal.get("endpoint", |variables| set(variables.endpoint));
        if wanted == Some(false) || (wanted.is_none() && endpoint.is_none()) {
            return None;
        }
        let protocol = protocol(&signal, problems);
        Some(Otlp {
            endpoint: address(&signal, endpoint.as_ref(), protocol, problems),
            protocol,
            headers: headers(&signal, problems),
            timeout: timeout(&signal, problems),
            gzip: gzip(&signal, problems),
        })
    }
}

/// Returns whether the signal is exported; `None` if the variable does not decide it.
fn wanted(signal: &str, exporter: Option<&String>, problems: &mut Problems) -> Option<bool> {
    let mut wanted = None;
    for name in set(exporter)?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "otlp" => wanted = Some(true),
            "none" => wanted = wanted.or(Some(false)),
            other => {
                let reason = format!("{other:?} is ignored: it must be otlp or none");
                problems.warn(&format!("otel_{signal}_exporter"), reason);
            }
        }
    }
    wanted
}

fn protocol(signal: &Signal<'_>, problems: &mut Problems) -> Protocol {
    match signal.get("protocol", |variables| set(variables.protocol)) {
        None | Some((_, "grpc")) => Protocol::Grpc,
        Some((_, "http/protobuf")) => Protocol::HttpProtobuf,
        Some((key, other)) => {
            problems.warn(&key, format!("{other:?} is ignored: it must be grpc or http/protobuf; grpc is used"));
            Protocol::Grpc
        }
    }
}

/// Returns the endpoint. For HTTP, an endpoint for all signals is a base URL; the signal's own is used unchanged.
fn address(signal: &Signal<'_>, endpoint: Option<&Set<'_>>, protocol: Protocol, problems: &mut Problems) -> String {
    let own = set(signal.own.endpoint).is_some();
    let base = match (endpoint, protocol) {
        (Some((_, text)), _) => *text,
        (None, Protocol::Grpc) => "http://localhost:4317",
        (None, Protocol::HttpProtobuf) => "http://localhost:4318",
    };
    if let Some((key, text)) = endpoint {
        problems.check_web_url(key, Some(text));
        if text.parse::<Uri>().is_err() {
            problems.add(key, "must be a URI");
        }
    }
    match protocol {
        Protocol::HttpProtobuf if !own => format!("{}/v1/{}", base.trim_end_matches('/'), signal.name),
        _ => base.to_owned(),
    }
}

/// `name=value`, several with commas; values are percent-encoded.
fn headers(signal: &Signal<'_>, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some((key, text)) = signal.get("headers", |variables| {
        variables.headers.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty())
    }) else {
        return headers;
    };
    for (entry, number) in text.split(',').map(str::trim).zip(1..).filter(|(entry, _)| !entry.is_empty()) {
        match header(entry) {
            Some((name, value)) => drop(headers.insert(name, value)),
            // Not quoted: it may be part of a password.
            None => problems.warn(&key, format!("entry {number} is ignored: it must be name=value")),
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

fn timeout(signal: &Signal<'_>, problems: &mut Problems) -> Duration {
    let Some((key, text)) = signal.get("timeout", |variables| set(variables.timeout)) else {
        return DEFAULT_TIMEOUT;
    };
    if let Ok(millis @ 1..) = text.parse::<u32>() {
        return Duration::from_millis(millis.into());
    }
    problems.warn(&key, format!("{text:?} is ignored: it must be a number of milliseconds, from 1"));
    DEFAULT_TIMEOUT
}

fn gzip(signal: &Signal<'_>, problems: &mut Problems) -> bool {
    match signal.get("compression", |variables| set(variables.compression)) {
        None | Some((_, "none")) => false,
        Some((_, "gzip")) => true,
        Some((key, other)) => {
            problems.warn(&key, format!("{other:?} is ignored: it must be gzip or none"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::exported;
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what a variable that is set looks like")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn all(endpoint: &str, protocol: &str) -> OtelConfig {
        OtelConfig {
            otel_exporter_otlp_endpoint: some(endpoint),
            otel_exporter_otlp_protocol: some(protocol),
            ..OtelConfig::default()
        }
    }

    fn endpoints(config: &OtelConfig) -> (Option<String>, Option<String>) {
        let (export, warnings) = exported(config).unwrap();
        assert_eq!(warnings, []);
        (export.traces.map(|otlp| otlp.endpoint), export.logs.map(|otlp| otlp.endpoint))
    }

    #[test]
    fn endpoints_follow_the_protocol() {
        let grpc = some("http://c:4317");
        assert_eq!(endpoints(&all("http://c:4317", "")), (grpc.clone(), grpc.clone()));
        for base in ["http://c/otlp", "http://c/otlp/"] {
            let expected = (some("http://c/otlp/v1/traces"), some("http://c/otlp/v1/logs"));
            assert_eq!(endpoints(&all(base, "http/protobuf")), expected);
        }
        let mixed = OtelConfig {
            otel_exporter_otlp_logs_endpoint: some("http://c:4318/lines"),
            otel_exporter_otlp_logs_protocol: some("http/protobuf"),
            ..all("http://c:4317", "grpc")
        };
        assert_eq!(endpoints(&mixed), (grpc, some("http://c:4318/lines")), "a signal's own is not a base");
    }

    #[test]
    fn nothing_is_exported_by_default() {
        assert_eq!(endpoints(&all("", "http/protobuf")), (None, None));
        let traces = OtelConfig { otel_traces_exporter: some("otlp"), ..all("", "http/protobuf") };
        assert_eq!(endpoints(&traces), (some("http://localhost:4318/v1/traces"), None));
        let lines = OtelConfig { otel_traces_exporter: some("none"), ..all("http://c:4317", "") };
        assert_eq!(endpoints(&lines), (None, some("http://c:4317")));
        let none = some("none");
        let neither =
            OtelConfig { otel_traces_exporter: none.clone(), otel_logs_exporter: none, ..all("nonsense", "pigeon") };
        assert_eq!(endpoints(&neither), (None, None));
    }

    #[test]
    fn unsupported_values_are_ignored_and_named_once() {
        let config = OtelConfig {
            otel_exporter_otlp_headers: Some(
                "authorization=Basic%20aHVudGVyMg==,hunter2,tenant = a ,,broken name=x".into(),
            ),
            otel_exporter_otlp_timeout: some("0"),
            otel_exporter_otlp_compression: some("zstd"),
            otel_logs_exporter: some("console"),
            ..all("http://c:4317", "http/json")
        };
        let (export, warnings) = exported(&config).unwrap();
        let names: Vec<_> = warnings.iter().map(|(name, _)| name.trim_start_matches("OTEL_")).collect();
        let headers = "EXPORTER_OTLP_HEADERS";
        let expected = [
            "EXPORTER_OTLP_PROTOCOL",
            headers,
            headers,
            "EXPORTER_OTLP_TIMEOUT",
            "EXPORTER_OTLP_COMPRESSION",
            "LOGS_EXPORTER",
        ];
        assert_eq!(names, expected);
        assert!(!format!("{warnings:?} {export:?}").contains("hunter2"), "{warnings:?} {export:?}");
        let sent = export.traces.unwrap();
        assert_eq!((sent.protocol, sent.timeout, sent.gzip), (Protocol::Grpc, DEFAULT_TIMEOUT, false));
        assert_eq!((sent.headers.len(), &sent.headers["tenant"]), (2, &HeaderValue::from_static("a")));
        assert_eq!(sent.headers["authorization"], "Basic aHVudGVyMg==");
        assert!(!format!("{sent:?}").contains("aHVudGVyMg"), "{sent:?}");
    }

    #[test]
    fn an_invalid_endpoint_is_a_problem() {
        for bad in ["collector:4317", "ftp://c", "http://user:hunter2@c:4317", "http://"] {
            let errors = exported(&all(bad, "")).unwrap_err().0;
            let [error] = &errors[..] else { panic!("{bad}: {errors:?}") };
            assert!(error.location.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT "), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }
}
