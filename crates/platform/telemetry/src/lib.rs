//! Logs, traces and metrics: one place that sets them up, and what the other crates need to take part.
//!
//! [`init`] installs the process's one `tracing` subscriber. Everything else here works with or without it.

pub mod config;
mod export;
mod exporters;
mod format;
mod guard;
pub mod metrics;
pub mod otel;
pub mod propagation;
mod sampling;

pub use config::{LogFormat, LogTarget, TelemetryConfig};
pub use guard::{InitError, Telemetry, UNTRACED, init};

/// A number as a field of a span. Unsigned ones would reach the collector as text; too large ones are cut.
pub fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
