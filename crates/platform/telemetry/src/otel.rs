//! Interprets the environment variables of the OpenTelemetry specification. Unsupported values are ignored with a
//! warning, as the specification allows: these variables are often set for a whole cluster, not for this service.

mod otlp;
mod variables;

use std::time::Duration;

use http::HeaderMap;
use kennel_config::{Problems, Section};

pub use self::variables::OtelConfig;

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

/// What is exported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Export {
    /// Exporter of traces, if any.
    pub traces: Option<Otlp>,
    /// Exporter of log lines, if any.
    pub logs: Option<Otlp>,
    /// Sampling of traces.
    pub sampling: Sampling,
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

impl Section for OtelConfig {
    const TITLE: &'static str = "OpenTelemetry";

    fn check(&self, problems: &mut Problems) {
        self.export(problems);
    }
}

impl OtelConfig {
    /// Returns what is exported, with the defaults of the specification. Adds a warning for each setting that is ignored.
    pub fn export(&self, problems: &mut Problems) -> Export {
        if self.is_disabled(problems) {
            return Export::default();
        }
        let export = Export {
            sampling: self.sampling(problems),
            traces: self.exporter("traces", self.otel_traces_exporter.as_ref(), self.otlp_traces(), problems),
            logs: self.exporter("logs", self.otel_logs_exporter.as_ref(), self.otlp_logs(), problems),
        };
        let others = |value: &Option<String>, fine: &[&str]| -> Vec<String> {
            let names = set(value.as_ref()).into_iter().flat_map(|text| text.split(',')).map(str::trim);
            names.filter(|name| !name.is_empty() && !fine.contains(name)).map(str::to_owned).collect()
        };
        for name in others(&self.otel_metrics_exporter, &["none", "prometheus"]) {
            problems.warn("otel_metrics_exporter", format!("{name:?} is ignored: metrics are scraped, at /metrics"));
        }
        for name in others(&self.otel_propagators, &["tracecontext"]) {
            problems.warn("otel_propagators", format!("{name:?} is ignored: tracecontext alone is propagated"));
        }
        export
    }

    fn is_disabled(&self, problems: &mut Problems) -> bool {
        let Some(text) = set(self.otel_sdk_disabled.as_ref()) else { return false };
        let disabled = text.eq_ignore_ascii_case("true");
        if !disabled && !text.eq_ignore_ascii_case("false") {
            problems.warn("otel_sdk_disabled", format!("{text:?} counts as false: it must be true or false"));
        }
        disabled
    }

    fn sampling(&self, problems: &mut Problems) -> Sampling {
        let name = set(self.otel_traces_sampler.as_ref()).map(str::to_ascii_lowercase);
        let takes_ratio = |name: &str| matches!(name, "traceidratio" | "parentbased_traceidratio");
        let ratio = match name.as_deref() {
            Some("always_off" | "parentbased_always_off") => 0.0,
            // Without a sampler the argument is used alone.
            None => self.ratio(problems),
            Some(name) if takes_ratio(name) => self.ratio(problems),
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
                problems.warn("otel_traces_sampler", reason);
                Sampling::default()
            }
        }
    }

    fn ratio(&self, problems: &mut Problems) -> f64 {
        let Some(text) = set(self.otel_traces_sampler_arg.as_ref()) else { return 1.0 };
        let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.unwrap_or_else(|| {
            problems.warn("otel_traces_sampler_arg", format!("{text:?} is ignored: it must be a number from 0 to 1"));
            1.0
        })
    }
}

/// Returns the variable's text if it is not empty.
fn set(value: Option<&String>) -> Option<&str> {
    value.map(|text| text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use kennel_config::{ConfigErrors, Problem};

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what a variable that is set looks like")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn sampled(name: &str, arg: &str) -> (Sampling, Vec<String>) {
        let config =
            OtelConfig { otel_traces_sampler: some(name), otel_traces_sampler_arg: some(arg), ..OtelConfig::default() };
        let (export, warnings) = exported(&config).unwrap();
        (export.sampling, warnings.into_iter().map(|(variable, _)| variable).collect())
    }

    /// Returns what is exported and the warnings, by variable; or the errors.
    pub(super) fn exported(config: &OtelConfig) -> Result<(Export, Vec<(String, String)>), ConfigErrors> {
        let mut problems = Problems::default();
        let export = config.export(&mut problems);
        let warning = |Problem { location, message }| (location.split(' ').next().unwrap().to_owned(), message);
        Ok((export, problems.into_result()?.into_iter().map(warning).collect()))
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
            let expected = (Sampling::default(), vec!["OTEL_TRACES_SAMPLER".to_owned()]);
            assert_eq!(sampled(name, "endpoint=http://localhost:2000"), expected, "{name}");
        }
        for arg in ["2", "-1", "NaN", "often"] {
            let expected = (sampling(1.0, false), vec!["OTEL_TRACES_SAMPLER_ARG".to_owned()]);
            assert_eq!(sampled("traceidratio", arg), expected, "{arg}");
        }
    }

    #[test]
    fn a_disabled_sdk_exports_nothing_and_reports_nothing() {
        let mut config = OtelConfig {
            otel_sdk_disabled: some("True"),
            otel_exporter_otlp_endpoint: some("nonsense"),
            otel_exporter_otlp_protocol: some("pigeon"),
            otel_traces_sampler: some("xray"),
            ..OtelConfig::default()
        };
        assert_eq!(exported(&config).unwrap(), (Export::default(), Vec::new()));
        config.otel_sdk_disabled = some("yes");
        assert_eq!(exported(&config).unwrap_err().0.len(), 1);
        config.otel_exporter_otlp_endpoint = None;
        assert_eq!(exported(&config).unwrap().1[0].0, "OTEL_SDK_DISABLED");
    }

    #[test]
    fn unsupported_propagators_and_exporters_are_named() {
        let config = OtelConfig {
            otel_metrics_exporter: some("none, otlp"),
            otel_propagators: some("tracecontext,b3,xray"),
            ..OtelConfig::default()
        };
        let warnings = exported(&config).unwrap().1;
        let named: Vec<_> =
            warnings.iter().map(|(name, reason)| (name.as_str(), reason.split(' ').next().unwrap())).collect();
        let propagators = "OTEL_PROPAGATORS";
        assert_eq!(named, [("OTEL_METRICS_EXPORTER", "\"otlp\""), (propagators, "\"b3\""), (propagators, "\"xray\"")]);
    }
}
