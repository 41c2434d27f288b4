//! Names of series that no service registers: those that Prometheus records, and those that the collector derives.

/// 1 while a service misses a time-based objective, otherwise 0; by `job` and `slo`.
pub const MISSED: &str = "slo:missed:bool";
/// Error ratio of an objective over a window, by `job` and `slo`. The window is a suffix.
pub const ERROR_RATIO_5M: &str = "slo:error_ratio:rate5m";
/// Like [`ERROR_RATIO_5M`], over half an hour.
pub const ERROR_RATIO_30M: &str = "slo:error_ratio:rate30m";
/// Like [`ERROR_RATIO_5M`], over an hour.
pub const ERROR_RATIO_1H: &str = "slo:error_ratio:rate1h";
/// Like [`ERROR_RATIO_5M`], over two hours.
pub const ERROR_RATIO_2H: &str = "slo:error_ratio:rate2h";
/// Like [`ERROR_RATIO_5M`], over six hours.
pub const ERROR_RATIO_6H: &str = "slo:error_ratio:rate6h";
/// Like [`ERROR_RATIO_5M`], over a day.
pub const ERROR_RATIO_1D: &str = "slo:error_ratio:rate1d";
/// Like [`ERROR_RATIO_5M`], over three days.
pub const ERROR_RATIO_3D: &str = "slo:error_ratio:rate3d";
/// Error budget of an objective as a ratio, by `slo`.
pub const ERROR_BUDGET: &str = "slo:error_budget:ratio";

/// Counter of spans, by `service_name`, `span_name`, `span_kind` and `status_code`, which the collector derives.
pub const SPANS: &str = "traces_span_metrics_calls_total";
/// Histogram of span durations, with the labels of [`SPANS`].
pub const SPAN_DURATION: &str = "traces_span_metrics_duration_seconds";

/// Series of Prometheus itself: 1 if the last scrape succeeded, otherwise 0.
pub const UP: &str = "up";
/// Series of Prometheus itself: its alerts, by `alertname` and `alertstate`.
pub const ALERTS: &str = "ALERTS";
