//! Settings of logs and traces.

use kennel_config::{Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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

/// Log lines and the limit of traces. What is exported is in [`OtelConfig`](crate::OtelConfig).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryConfig {
    /// The log level, such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// The log format: `json` or `pretty`.
    #[schemars(with = "String")]
    pub log_format: LogFormat,
    /// Maximum number of new traces per second; traces over the limit are dropped as a whole. 0 means no limit.
    pub trace_limit: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log_level: "info".to_owned(), log_format: LogFormat::default(), trace_limit: 1_000 }
    }
}

impl Section for TelemetryConfig {
    const TITLE: &'static str = "Telemetry";

    fn check(&self, problems: &mut Problems) {
        if let Err(error) = EnvFilter::try_new(&self.log_level) {
            problems.add("log_level", format!("{error}, not {:?}", self.log_level));
        }
    }
}

/// What identifies the process in traces and logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    /// Name of its service, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has another one.
    pub name: &'static str,
    /// Version of its service.
    pub version: &'static str,
    /// Destination of its log lines.
    pub log_target: LogTarget,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(TelemetryConfig::default().validate(), Ok(()));
    }

    #[test]
    fn an_invalid_level_is_quoted() {
        let config = TelemetryConfig { log_level: "info,what=loud".to_owned(), ..TelemetryConfig::default() };
        let errors = config.validate().unwrap_err().0;
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert!(error.location.starts_with("LOG_LEVEL "), "{error}");
        assert!(error.message.ends_with(", not \"info,what=loud\""), "{error}");
    }
}
