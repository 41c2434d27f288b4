//! Interprets the environment variables of the OpenTelemetry specification. Unsupported values are ignored with a
//! warning, as the specification allows: these variables are often set for a whole cluster, not for this service.

mod otlp;

use std::fmt::Display;
use std::time::Duration;

use http::HeaderMap;

/// Variables that the SDK itself reads from the environment.
pub const SDK_VARIABLES: [&str; 10] = [
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
];

/// The variables as text. An empty one counts as unset.
#[derive(Clone, Default)]
pub struct Variables {
    /// `OTEL_SDK_DISABLED`.
    pub sdk_disabled: Option<String>,
    /// `OTEL_TRACES_EXPORTER`.
    pub traces_exporter: Option<String>,
    /// `OTEL_LOGS_EXPORTER`.
    pub logs_exporter: Option<String>,
    /// `OTEL_METRICS_EXPORTER`.
    pub metrics_exporter: Option<String>,
    /// `OTEL_PROPAGATORS`.
    pub propagators: Option<String>,
    /// `OTEL_TRACES_SAMPLER`.
    pub traces_sampler: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub traces_sampler_arg: Option<String>,
    /// `OTEL_EXPORTER_OTLP_…`.
    pub otlp: OtlpVariables,
    /// `OTEL_EXPORTER_OTLP_TRACES_…`, which have priority for traces.
    pub otlp_traces: OtlpVariables,
    /// `OTEL_EXPORTER_OTLP_LOGS_…`, which have priority for log lines.
    pub otlp_logs: OtlpVariables,
}

/// The exporter variables of one signal, or of all.
#[derive(Clone, Default)]
pub struct OtlpVariables {
    /// `…ENDPOINT`.
    pub endpoint: Option<String>,
    /// `…PROTOCOL`.
    pub protocol: Option<String>,
    /// `…HEADERS`. They may contain a password.
    pub headers: Option<String>,
    /// `…TIMEOUT`.
    pub timeout: Option<String>,
    /// `…COMPRESSION`.
    pub compression: Option<String>,
}

/// Result of [`Variables::resolve`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolved {
    /// Exporter of traces, if any.
    pub traces: Option<Otlp>,
    /// Exporter of log lines, if any.
    pub logs: Option<Otlp>,
    /// Sampling of traces.
    pub sampling: Sampling,
    /// Ignored settings, such as `otel_traces_sampler`, and the reason. They contain no secret.
    pub warnings: Vec<(String, String)>,
    /// Invalid settings, and a description of valid values.
    pub problems: Vec<(String, String)>,
}

/// Endpoint and protocol of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// The URL; for [`Protocol::HttpProtobuf`] with the path of the signal.
    pub endpoint: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Headers of each request.
    pub headers: HeaderMap,
    /// Timeout of a request.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub gzip: bool,
}

/// Protocol of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP, in protocol buffers.
    HttpProtobuf,
}

/// Sampling of traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Ratio of sampled traces, from 0 to 1.
    pub ratio: f64,
    /// Whether the caller's sampling decision is used for its traces.
    pub parent_based: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 1.0, parent_based: true }
    }
}

impl Variables {
    /// Validates the variables and applies the defaults of the specification.
    pub fn resolve(&self) -> Resolved {
        let mut resolved = Resolved::default();
        if self.is_disabled(&mut resolved) {
            return resolved;
        }
        resolved.sampling = self.sampling(&mut resolved);
        resolved.traces = self.otlp("traces", self.traces_exporter.as_ref(), &self.otlp_traces, &mut resolved);
        resolved.logs = self.otlp("logs", self.logs_exporter.as_ref(), &self.otlp_logs, &mut resolved);
        let others = |value: &Option<String>, fine: &[&str]| -> Vec<String> {
            let names = set(value.as_ref()).into_iter().flat_map(|text| text.split(',')).map(str::trim);
            names.filter(|name| !name.is_empty() && !fine.contains(name)).map(str::to_owned).collect()
        };
        for name in others(&self.metrics_exporter, &["none", "prometheus"]) {
            resolved.warn("otel_metrics_exporter", format!("{name:?} is ignored: metrics are scraped, at /metrics"));
        }
        for name in others(&self.propagators, &["tracecontext"]) {
            resolved.warn("otel_propagators", format!("{name:?} is ignored: tracecontext alone is propagated"));
        }
        resolved
    }

    fn is_disabled(&self, resolved: &mut Resolved) -> bool {
        let Some(text) = set(self.sdk_disabled.as_ref()) else { return false };
        let disabled = text.eq_ignore_ascii_case("true");
        if !disabled && !text.eq_ignore_ascii_case("false") {
            resolved.warn("otel_sdk_disabled", format!("{text:?} counts as false: it must be true or false"));
        }
        disabled
    }

    fn sampling(&self, resolved: &mut Resolved) -> Sampling {
        let name = set(self.traces_sampler.as_ref()).map(str::to_ascii_lowercase);
        let takes_ratio = |name: &str| matches!(name, "traceidratio" | "parentbased_traceidratio");
        let ratio = match name.as_deref() {
            Some("always_off" | "parentbased_always_off") => 0.0,
            // Without a sampler the argument is used alone.
            None => self.ratio(resolved),
            Some(name) if takes_ratio(name) => self.ratio(resolved),
            Some(_) => 1.0,
        };
        match name.as_deref() {
            Some("always_on" | "always_off" | "traceidratio") => Sampling { ratio, parent_based: false },
            None | Some("parentbased_always_on" | "parentbased_always_off" | "parentbased_traceidratio") => {
                Sampling { ratio, parent_based: true }
            }
            Some(other) => {
                let reason =
                    format!("{other:?} is ignored: there is no such sampler here; parentbased_always_on is used");
                resolved.warn("otel_traces_sampler", reason);
                Sampling::default()
            }
        }
    }

    fn ratio(&self, resolved: &mut Resolved) -> f64 {
        let Some(text) = set(self.traces_sampler_arg.as_ref()) else { return 1.0 };
        let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.unwrap_or_else(|| {
            resolved.warn("otel_traces_sampler_arg", format!("{text:?} is ignored: it must be a number from 0 to 1"));
            1.0
        })
    }
}

impl Resolved {
    fn warn(&mut self, key: impl Into<String>, reason: impl Display) {
        note(&mut self.warnings, key.into(), reason);
    }

    fn refuse(&mut self, key: impl Into<String>, reason: impl Display) {
        note(&mut self.problems, key.into(), reason);
    }
}

/// Adds a note once: a variable for all signals is read for each of them.
fn note(notes: &mut Vec<(String, String)>, key: String, reason: impl Display) {
    let found = (key, reason.to_string());
    if !notes.contains(&found) {
        notes.push(found);
    }
}

/// Returns the variable's text if it is not empty.
fn set(value: Option<&String>) -> Option<&str> {
    value.map(|text| text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what a variable that is set looks like")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn sampled(name: &str, arg: &str) -> (Sampling, Vec<String>) {
        let variables = Variables { traces_sampler: some(name), traces_sampler_arg: some(arg), ..Variables::default() };
        let resolved = variables.resolve();
        assert_eq!(resolved.problems, []);
        (resolved.sampling, resolved.warnings.into_iter().map(|(key, _)| key).collect())
    }

    #[test]
    fn every_sampler_of_the_specification_is_supported() {
        let sampling = |ratio, parent_based| Sampling { ratio, parent_based };
        for (name, expected) in [
            ("", sampling(0.25, true)),
            ("always_on", sampling(1.0, false)),
            ("always_off", sampling(0.0, false)),
            ("traceidratio", sampling(0.25, false)),
            ("parentbased_always_on", sampling(1.0, true)),
            ("parentbased_always_off", sampling(0.0, true)),
            ("parentbased_traceidratio", sampling(0.25, true)),
            ("ParentBased_TraceIdRatio", sampling(0.25, true)),
        ] {
            assert_eq!(sampled(name, "0.25"), (expected, Vec::new()), "{name}");
        }
        for name in ["xray", "jaeger_remote", "parentbased_jaeger_remote", "nonsense"] {
            let expected = (Sampling::default(), vec!["otel_traces_sampler".to_owned()]);
            assert_eq!(sampled(name, "endpoint=http://localhost:2000"), expected, "{name}");
        }
        for arg in ["2", "-1", "NaN", "often"] {
            let expected = (sampling(1.0, false), vec!["otel_traces_sampler_arg".to_owned()]);
            assert_eq!(sampled("traceidratio", arg), expected, "{arg}");
        }
    }

    #[test]
    fn a_disabled_sdk_exports_nothing_and_reports_nothing() {
        let otlp = OtlpVariables { endpoint: some("nonsense"), protocol: some("pigeon"), ..OtlpVariables::default() };
        let sampler = some("xray");
        let mut variables =
            Variables { sdk_disabled: some("True"), otlp, traces_sampler: sampler, ..Default::default() };
        assert_eq!(variables.resolve(), Resolved::default());
        variables.sdk_disabled = some("yes");
        let resolved = variables.resolve();
        assert_eq!(resolved.warnings[0].0, "otel_sdk_disabled");
        assert_eq!(resolved.problems.len(), 1, "{:?}", resolved.problems);
    }

    #[test]
    fn unsupported_propagators_and_exporters_are_named() {
        let variables = Variables {
            metrics_exporter: some("none, otlp"),
            propagators: some("tracecontext,b3,xray"),
            ..Variables::default()
        };
        let warnings = variables.resolve().warnings;
        let named: Vec<_> =
            warnings.iter().map(|(key, reason)| (key.as_str(), reason.split(' ').next().unwrap())).collect();
        let propagators = "otel_propagators";
        assert_eq!(named, [("otel_metrics_exporter", "\"otlp\""), (propagators, "\"b3\""), (propagators, "\"xray\"")]);
    }
}
