//! Names of series that no service registers: those that Prometheus records, and those that the collector counts.

/// 1 while a service misses an objective about time, else 0; by `job` and `slo`.
pub const MISSED: &str = "slo:missed:bool";
/// Share of what an objective is about that missed it, over a window; by `job` and `slo`. The window is a suffix.
pub const ERROR_RATIO_5M: &str = "slo:error_ratio:rate5m";
/// As [`ERROR_RATIO_5M`], over half an hour.
pub const ERROR_RATIO_30M: &str = "slo:error_ratio:rate30m";
/// As [`ERROR_RATIO_5M`], over an hour.
pub const ERROR_RATIO_1H: &str = "slo:error_ratio:rate1h";
/// As [`ERROR_RATIO_5M`], over two hours.
pub const ERROR_RATIO_2H: &str = "slo:error_ratio:rate2h";
/// As [`ERROR_RATIO_5M`], over six hours.
pub const ERROR_RATIO_6H: &str = "slo:error_ratio:rate6h";
/// As [`ERROR_RATIO_5M`], over a day.
pub const ERROR_RATIO_1D: &str = "slo:error_ratio:rate1d";
/// As [`ERROR_RATIO_5M`], over three days.
pub const ERROR_RATIO_3D: &str = "slo:error_ratio:rate3d";
/// Share that may miss an objective; by `slo`.
pub const ERROR_BUDGET: &str = "slo:error_budget:ratio";

/// Counter of spans, by `service_name`, `span_name`, `span_kind` and `status_code`. The collector counts them.
pub const SPANS: &str = "traces_span_metrics_calls_total";
/// Histogram of spans' durations, with the labels of [`SPANS`].
pub const SPAN_DURATION: &str = "traces_span_metrics_duration_seconds";

/// What Prometheus says of a scrape: 1 when it worked.
pub const UP: &str = "up";
/// What Prometheus says of its alerts, by `alertname` and `alertstate`.
pub const ALERTS: &str = "ALERTS";
