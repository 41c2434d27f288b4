//! Builder of `PromQL` expressions from metric names.

use std::fmt;

/// A `PromQL` expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr(String);

/// Selector of the series of one metric, with label matchers.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    matchers: Vec<String>,
}

/// The series of `name`, a constant of [`kennel_telemetry::metrics::names`] or of [`crate::recorded`].
pub fn series(name: &'static str) -> Series {
    Series { name: name.to_owned(), matchers: Vec::new() }
}

/// Sum by the labels `by`.
pub fn sum(by: &[&str], of: &Expr) -> Expr {
    aggregate("sum", by, of)
}

/// Maximum by the labels `by`.
pub fn max(by: &[&str], of: &Expr) -> Expr {
    aggregate("max", by, of)
}

/// Minimum by the labels `by`.
pub fn min(by: &[&str], of: &Expr) -> Expr {
    aggregate("min", by, of)
}

/// Quantile `q`, from 0 to 1, of a histogram, by the labels `by`.
pub fn quantile(q: f64, of: Series, by: &[&str]) -> Expr {
    let by: Vec<&str> = by.iter().copied().chain(["le"]).collect();
    let rates = sum(&by, &of.bucket().rate());
    Expr(format!("histogram_quantile({q}, {rates})"))
}

fn aggregate(function: &str, by: &[&str], of: &Expr) -> Expr {
    let by = if by.is_empty() { String::new() } else { format!(" by ({})", by.join(", ")) };
    Expr(format!("{function}{by} ({of})"))
}

impl Series {
    /// Selects the services of the dashboard's variable.
    #[must_use]
    pub fn selected(self) -> Self {
        self.matches("job", "$job")
    }

    /// Matches series whose `label` is `value`.
    #[must_use]
    pub fn is(self, label: &str, value: &str) -> Self {
        self.matcher(label, "=", value)
    }

    /// Matches series whose `label` is not `value`.
    #[must_use]
    pub fn is_not(self, label: &str, value: &str) -> Self {
        self.matcher(label, "!=", value)
    }

    /// Matches series whose `label` matches the anchored regular expression `pattern`.
    #[must_use]
    pub fn matches(self, label: &str, pattern: &str) -> Self {
        self.matcher(label, "=~", pattern)
    }

    /// Matches series whose `label` does not match the anchored regular expression `pattern`.
    #[must_use]
    pub fn not_matches(self, label: &str, pattern: &str) -> Self {
        self.matcher(label, "!~", pattern)
    }

    /// Buckets of a histogram.
    #[must_use]
    pub fn bucket(self) -> Self {
        self.suffixed("_bucket")
    }

    /// Number of observations of a histogram.
    #[must_use]
    pub fn count(self) -> Self {
        self.suffixed("_count")
    }

    /// Sum of the observations of a histogram.
    #[must_use]
    pub fn sum(self) -> Self {
        self.suffixed("_sum")
    }

    /// Current values.
    pub fn now(&self) -> Expr {
        Expr(self.to_string())
    }

    /// Rate per second, over Grafana's rate interval of the panel.
    pub fn rate(&self) -> Expr {
        self.rate_over("$__rate_interval")
    }

    /// Rate per second, over `window`.
    pub fn rate_over(&self, window: &str) -> Expr {
        Expr(format!("rate({self}[{window}])"))
    }

    /// Increase over `window`.
    pub fn increase(&self, window: &str) -> Expr {
        Expr(format!("increase({self}[{window}])"))
    }

    /// Average over `window`.
    pub fn mean(&self, window: &str) -> Expr {
        Expr(format!("avg_over_time({self}[{window}])"))
    }

    /// Maximum over `window`.
    #[must_use]
    pub fn max_over(&self, window: &str) -> Expr {
        Expr(format!("max_over_time({self}[{window}])"))
    }

    fn matcher(mut self, label: &str, operator: &str, value: &str) -> Self {
        self.matchers.push(format!("{label}{operator}\"{value}\""));
        self
    }

    fn suffixed(mut self, suffix: &str) -> Self {
        self.name.push_str(suffix);
        self
    }
}

impl Expr {
    /// An expression as text, for what has no builder.
    pub fn raw(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Text of the expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Division by `other`.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(format!("{self} / {other}"))
    }

    /// This expression, or 0 where only `total` has a series: such as an error rate without errors.
    #[must_use]
    pub fn or_zero_of(&self, total: &Self) -> Self {
        Self(format!("({self} or 0 * {total})"))
    }

    /// Union of both; where both have a series, this one.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(format!("{self} or {other}"))
    }

    /// Filters values above `limit`.
    #[must_use]
    pub fn above(&self, limit: impl fmt::Display) -> Self {
        Self(format!("{self} > {limit}"))
    }

    /// 1 if the value is above `limit`, otherwise 0.
    #[must_use]
    pub fn is_above(&self, limit: impl fmt::Display) -> Self {
        Self(format!("{self} > bool {limit}"))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        if self.matchers.is_empty() { Ok(()) } else { write!(out, "{{{}}}", self.matchers.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use kennel_telemetry::metrics::names;

    use super::*;

    #[test]
    fn builds_common_expressions() {
        let requests = series(names::HTTP_REQUESTS).selected();
        let failed = sum(&["route"], &requests.clone().matches("status", "5..").rate());
        let total = sum(&["route"], &requests.rate());
        assert_eq!(
            failed.or_zero_of(&total).over(&total).as_str(),
            "(sum by (route) (rate(http_requests_total{job=~\"$job\",status=~\"5..\"}[$__rate_interval])) or 0 * \
             sum by (route) (rate(http_requests_total{job=~\"$job\"}[$__rate_interval]))) / \
             sum by (route) (rate(http_requests_total{job=~\"$job\"}[$__rate_interval]))"
        );
        assert_eq!(
            quantile(0.95, series(names::OUTBOX_RELAY), &[]).as_str(),
            "histogram_quantile(0.95, sum by (le) (rate(outbox_relay_seconds_bucket[$__rate_interval])))"
        );
        assert_eq!(
            max(&[], &series(names::OUTBOX_OLDEST).now()).is_above(30).as_str(),
            "max (outbox_oldest_seconds) > bool 30"
        );
    }
}
