//! Prometheus expressions, built from names of metrics.

use std::fmt;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr(String);

/// The series of one metric, narrowed down by labels.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    matchers: Vec<String>,
}

/// The series of `name`, a constant of [`kennel_telemetry::metrics::names`] or of [`crate::recorded`].
pub fn series(name: &'static str) -> Series {
    Series { name: name.to_owned(), matchers: Vec::new() }
}

/// Sums what has the same values of the labels `by`.
pub fn sum(by: &[&str], of: &Expr) -> Expr {
    aggregate("sum", by, of)
}

/// The largest of what has the same values of the labels `by`.
pub fn max(by: &[&str], of: &Expr) -> Expr {
    aggregate("max", by, of)
}

/// The smallest of what has the same values of the labels `by`.
pub fn min(by: &[&str], of: &Expr) -> Expr {
    aggregate("min", by, of)
}

/// The quantile `q`, from 0 to 1, of a histogram's observations, for each value of the labels `by`.
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
    /// Only those of the services that are picked at the top of a dashboard.
    #[must_use]
    pub fn picked(self) -> Self {
        self.matches("job", "$job")
    }

    /// Only those whose `label` is `value`.
    #[must_use]
    pub fn is(self, label: &str, value: &str) -> Self {
        self.matcher(label, "=", value)
    }

    /// Only those whose `label` is not `value`.
    #[must_use]
    pub fn is_not(self, label: &str, value: &str) -> Self {
        self.matcher(label, "!=", value)
    }

    /// Only those whose `label` matches the whole of the regular expression `pattern`.
    #[must_use]
    pub fn matches(self, label: &str, pattern: &str) -> Self {
        self.matcher(label, "=~", pattern)
    }

    /// Only those whose `label` does not match the whole of the regular expression `pattern`.
    #[must_use]
    pub fn differs(self, label: &str, pattern: &str) -> Self {
        self.matcher(label, "!~", pattern)
    }

    /// The buckets of a histogram.
    #[must_use]
    pub fn bucket(self) -> Self {
        self.suffixed("_bucket")
    }

    /// The number of a histogram's observations.
    #[must_use]
    pub fn count(self) -> Self {
        self.suffixed("_count")
    }

    /// The sum of a histogram's observations.
    #[must_use]
    pub fn sum(self) -> Self {
        self.suffixed("_sum")
    }

    /// The values as they are.
    pub fn now(&self) -> Expr {
        Expr(self.to_string())
    }

    /// Growth for each second, over the span that suits the resolution of a panel.
    pub fn rate(&self) -> Expr {
        self.rate_over("$__rate_interval")
    }

    /// Growth for each second, over `window`.
    pub fn rate_over(&self, window: &str) -> Expr {
        Expr(format!("rate({self}[{window}])"))
    }

    /// Growth over `window`.
    pub fn increase(&self, window: &str) -> Expr {
        Expr(format!("increase({self}[{window}])"))
    }

    /// The mean over `window`.
    pub fn mean(&self, window: &str) -> Expr {
        Expr(format!("avg_over_time({self}[{window}])"))
    }

    /// The largest value within `window`.
    #[must_use]
    pub fn most(&self, window: &str) -> Expr {
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
    /// An expression written by hand, for what has no builder.
    pub fn raw(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This divided by `other`, series by series.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(format!("{self} / {other}"))
    }

    /// This, or nought where this has no series but `total` has: a rate of errors while there are none.
    #[must_use]
    pub fn or_nought_of(&self, total: &Self) -> Self {
        Self(format!("({self} or 0 * {total})"))
    }

    /// The series of both; where both have one, this one's.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(format!("{self} or {other}"))
    }

    /// Where this is above `limit`.
    #[must_use]
    pub fn above(&self, limit: impl fmt::Display) -> Self {
        Self(format!("{self} > {limit}"))
    }

    /// 1 where this is above `limit`, else 0.
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
    fn builds_what_is_usual() {
        let requests = series(names::HTTP_REQUESTS).picked();
        let failed = sum(&["route"], &requests.clone().matches("status", "5..").rate());
        let total = sum(&["route"], &requests.rate());
        assert_eq!(
            failed.or_nought_of(&total).over(&total).as_str(),
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
