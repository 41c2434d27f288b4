//! What a process says about its own logs and traces.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// Text, coloured on a terminal, for people.
    Pretty,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// Standard output, as servers do.
    #[default]
    Stdout,
    /// Standard error, for commands whose output is their result.
    Stderr,
}

/// Settings of [`crate::init`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Name of the service in traces.
    pub service_name: String,
    /// Version of the service in traces.
    pub service_version: String,
    /// Which lines are written: a level such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// How lines look.
    pub log_format: LogFormat,
    /// Where lines go.
    pub log_target: LogTarget,
    /// Collector that takes traces and lines by OTLP over gRPC, such as `http://localhost:4317`. Unset or empty sends none.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that are sent, from 0 to 1. A caller's own decision is kept.
    pub sample_ratio: f64,
    /// How many new traces are sent each second at most, of those that `sample_ratio` picks. 0 is no limit.
    pub trace_limit: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            service_name: "unknown_service".to_owned(),
            service_version: String::new(),
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
            log_target: LogTarget::default(),
            otlp_endpoint: None,
            sample_ratio: 1.0,
            trace_limit: 1_000,
        }
    }
}

impl TelemetryConfig {
    /// What is wrong, as pairs of field and reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.log_level) {
            problems.push(("log_level", format!("{error}, not {:?}", self.log_level)));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.push(("sample_ratio", "must be 0 to 1".to_owned()));
        }
        if self.endpoint().is_some_and(|endpoint| !is_endpoint(endpoint)) {
            problems.push(("otlp_endpoint", "must be an http or https URL".to_owned()));
        }
        problems
    }

    /// The collector, where there is one.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.otlp_endpoint.as_deref().map(str::trim).filter(|endpoint| !endpoint.is_empty())
    }
}

fn is_endpoint(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(TelemetryConfig::default().problems(), []);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let config = TelemetryConfig {
            log_level: "info,what=loud".to_owned(),
            sample_ratio: f64::NAN,
            otlp_endpoint: Some("localhost".to_owned()),
            ..TelemetryConfig::default()
        };
        let fields: Vec<_> = config.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["log_level", "sample_ratio", "otlp_endpoint"]);
        let (_, log_level) = &config.problems()[0];
        assert!(log_level.ends_with(", not \"info,what=loud\""), "{log_level}");
    }

    #[test]
    fn an_empty_endpoint_is_none() {
        let config = TelemetryConfig { otlp_endpoint: Some(" ".to_owned()), ..TelemetryConfig::default() };
        assert_eq!(config.endpoint(), None);
        assert_eq!(config.problems(), []);
    }
}
