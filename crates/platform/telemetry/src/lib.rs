//! Logs, traces and metrics: initialization, and helpers for the other crates.
//!
//! [`init`] installs the global `tracing` subscriber. Everything else works with or without it.

pub mod config;
mod export;
mod exporters;
mod format;
mod guard;
pub mod metrics;
pub mod otel;
pub mod propagation;
mod sampling;

pub use config::{LogFormat, LogTarget, Process, TelemetryConfig};
pub use guard::{InitError, Telemetry, UNTRACED, init};
pub use otel::OtelConfig;

/// Converts a number for a field of a span. Unsigned numbers would reach the collector as text; too large ones are
/// capped.
pub fn as_i64(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
