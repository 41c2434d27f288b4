//! Logs, traces and metrics: initialization, and helpers for the other crates.
//!
//! [`init`] installs the global `tracing` subscriber. Everything else works with or without it.

pub mod config;
mod export;
mod exporters;
mod format;
mod guard;
mod in_span;
pub mod metrics;
pub mod otel;
pub mod propagation;
mod sampling;

#[doc(hidden)]
pub use tracing;

pub use config::{LogFormat, LogTarget, Process, TelemetryConfig};
pub use guard::{InitError, Telemetry, UNTRACED, init};
pub use in_span::InSpan;
pub use otel::OtelConfig;

/// Converts a number for a field of a span. Unsigned numbers would reach the collector as text; too large ones are
/// capped.
pub fn as_i64(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Whether the current span belongs to a trace that is recorded.
pub fn is_sampled() -> bool {
    propagation::sampled().is_some()
}

/// Whether the current span belongs to a trace that is not recorded. Outside a span this is false: a trace may begin there.
pub fn is_unsampled() -> bool {
    propagation::is_current_unsampled()
}

/// An info span that exists only in a trace that is recorded; elsewhere there is none. For details inside a request,
/// whose log lines do not need the span's fields: a span costs about as much as reading a value from memory.
#[macro_export]
macro_rules! sampled_span {
    ($($span:tt)+) => {
        if $crate::is_sampled() { $crate::tracing::info_span!($($span)+) } else { $crate::tracing::Span::none() }
    };
}
