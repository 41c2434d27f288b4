//! What a process says about its own logs and traces.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::otel::{Otlp, Sampling};

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
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// Name of the service in traces and logs.
    pub service_name: Option<String>,
    /// Its name where neither that nor `OTEL_RESOURCE_ATTRIBUTES` has one.
    pub default_service_name: String,
    /// Version of the service in traces.
    pub service_version: String,
    /// Which lines are written: a level such as `info`, or directives such as `info,sqlx=warn`.
    pub log_level: String,
    /// How lines look.
    pub log_format: LogFormat,
    /// Where lines go.
    pub log_target: LogTarget,
    /// Where traces are sent, if anywhere.
    pub traces: Option<Otlp>,
    /// Where lines are sent, if anywhere.
    pub logs: Option<Otlp>,
    /// Which traces are sent.
    pub sampling: Sampling,
    /// How many new traces are sent each second at most, of those that `sampling` picks. 0 is no limit.
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
    /// What is wrong, as pairs of field and reason.
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
    fn the_defaults_are_fine() {
        assert_eq!(TelemetryConfig::default().problems(), []);
    }

    #[test]
    fn a_level_that_cannot_be_read_is_quoted() {
        let config = TelemetryConfig { log_level: "info,what=loud".to_owned(), ..TelemetryConfig::default() };
        let [(field, reason)] = &config.problems()[..] else { panic!("{:?}", config.problems()) };
        assert_eq!(*field, "log_level");
        assert!(reason.ends_with(", not \"info,what=loud\""), "{reason}");
    }
}
