//! Settings of logs and traces.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::otel::{Otlp, Sampling};

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    #[default]
    Json,
    /// Text, coloured on a terminal, for people.
    Pretty,
}

/// Destination of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// Standard output, for servers.
    #[default]
    Stdout,
    /// Standard error, for commands that print their result to standard output.
    Stderr,
}

/// Settings of [`crate::init`].
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// Service name in traces and logs.
    pub service_name: Option<String>,
    /// Service name if neither that nor `OTEL_RESOURCE_ATTRIBUTES` has one.
    pub default_service_name: String,
    /// Service version in traces.
    pub service_version: String,
    /// Filter of log lines: a level such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Destination of log lines.
    pub log_target: LogTarget,
    /// Exporter of traces, if any.
    pub traces: Option<Otlp>,
    /// Exporter of log lines, if any.
    pub logs: Option<Otlp>,
    /// Sampling of traces.
    pub sampling: Sampling,
    /// Maximum number of new traces per second, of those that `sampling` selects. 0 means no limit.
    pub trace_limit: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            service_name: None,
            default_service_name: "unknown_service".to_owned(),
            service_version: String::new(),
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
            log_target: LogTarget::default(),
            traces: None,
            logs: None,
            sampling: Sampling::default(),
            trace_limit: 1_000,
        }
    }
}

impl TelemetryConfig {
    /// Returns the problems as pairs of field and message.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.log_level) {
            problems.push(("log_level", format!("{error}, not {:?}", self.log_level)));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(TelemetryConfig::default().problems(), []);
    }

    #[test]
    fn an_invalid_level_is_quoted() {
        let config = TelemetryConfig { log_level: "info,what=loud".to_owned(), ..TelemetryConfig::default() };
        let [(field, reason)] = &config.problems()[..] else { panic!("{:?}", config.problems()) };
        assert_eq!(*field, "log_level");
        assert!(reason.ends_with(", not \"info,what=loud\""), "{reason}");
    }
}
