//! The `OpenMetrics` format, version 1.0.0: the content of the classic format, and exemplars.
//!
//! Series have the same names as in the classic format, so that rules and dashboards work with both. Only the bounds of
//! buckets differ, as the specification requires: `1.0` instead of `1`.

use std::collections::HashMap;
use std::fmt::{Result, Write as _};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::latency::{BUCKET, SUFFIX, TRACE_ID};

/// Suffix of counters in the classic format, which is not part of the family's name in this one.
const TOTAL: &str = "_total";
/// Units at the end of names.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Exemplars by the labels of their series and the index of their bucket.
type Exemplars<'a> = HashMap<(Vec<(&'a str, &'a str)>, usize), &'a Metric>;

/// Returns whether the family contains exemplars, which are written into the buckets of another family.
pub(super) fn is_exemplars(family: &MetricFamily) -> bool {
    family.name().ends_with(SUFFIX)
}

/// Encodes all families as text.
pub(super) fn encode(families: &[MetricFamily]) -> std::result::Result<String, std::fmt::Error> {
    let mut text = String::new();
    for family in families.iter().filter(|family| !is_exemplars(family)) {
        let name = format!("{}{SUFFIX}", family.name());
        let exemplars = families.iter().find(|other| other.name() == name);
        write_family(&mut text, family, &exemplars.map(by_series).unwrap_or_default())?;
    }
    text.push_str("# EOF\n");
    Ok(text)
}

fn by_series(family: &MetricFamily) -> Exemplars<'_> {
    let mut exemplars = Exemplars::new();
    for metric in family.get_metric() {
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        let (ours, own): (Vec<_>, Vec<_>) = labels.partition(|(name, _)| matches!(*name, BUCKET | TRACE_ID));
        let bucket = ours.iter().find(|(name, _)| *name == BUCKET).and_then(|(_, index)| index.parse().ok());
        if let Some(bucket) = bucket {
            exemplars.insert((own, bucket), metric);
        }
    }
    exemplars
}

fn write_family(text: &mut String, family: &MetricFamily, exemplars: &Exemplars<'_>) -> Result {
    let (name, kind) = match (family.get_field_type(), family.name().strip_suffix(TOTAL)) {
        (MetricType::COUNTER, Some(name)) => (name, "counter"),
        // As a counter, its series would have another name than in the classic format.
        (MetricType::COUNTER, None) => (family.name(), "unknown"),
        (MetricType::GAUGE, _) => (family.name(), "gauge"),
        (MetricType::HISTOGRAM, _) => (family.name(), "histogram"),
        (MetricType::SUMMARY, _) => (family.name(), "summary"),
        // Nothing creates one, and the classic format omits it too.
        (MetricType::UNTYPED, _) => return Ok(()),
    };
    writeln!(text, "# TYPE {name} {kind}")?;
    if let Some(unit) = UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    writeln!(text, "# HELP {name} {}", escaped(family.help()))?;
    for metric in family.get_metric() {
        write_metric(text, family, metric, exemplars)?;
    }
    Ok(())
}

fn write_metric(text: &mut String, family: &MetricFamily, metric: &Metric, exemplars: &Exemplars<'_>) -> Result {
    let (name, labels) = (family.name(), metric.get_label());
    let value = match family.get_field_type() {
        MetricType::COUNTER => metric.get_counter().get_value(),
        MetricType::GAUGE => metric.get_gauge().get_value(),
        MetricType::UNTYPED => return Ok(()),
        MetricType::HISTOGRAM => return write_histogram(text, name, metric, exemplars),
        MetricType::SUMMARY => {
            let summary = metric.get_summary();
            for quantile in summary.get_quantile() {
                let bound = format!("{:?}", quantile.quantile());
                write_sample(text, name, "", labels, Some(("quantile", &bound)), &number(quantile.value()))?;
                text.push('\n');
            }
            return write_totals(text, name, labels, summary.sample_sum(), summary.sample_count());
        }
    };
    write_sample(text, name, "", labels, None, &number(value))?;
    text.push('\n');
    Ok(())
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric, exemplars: &Exemplars<'_>) -> Result {
    let (histogram, labels) = (metric.get_histogram(), metric.get_label());
    let own: Vec<_> = labels.iter().map(|label| (label.name(), label.value())).collect();
    let bounded = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let all = bounded.chain([(f64::INFINITY, histogram.get_sample_count())]);
    for (index, (bound, count)) in all.enumerate() {
        let bound = if bound.is_finite() { format!("{bound:?}") } else { number(bound) };
        write_sample(text, name, "_bucket", labels, Some(("le", &bound)), &count.to_string())?;
        if let Some(exemplar) = exemplars.get(&(own.clone(), index)) {
            write_exemplar(text, exemplar)?;
        }
        text.push('\n');
    }
    write_totals(text, name, labels, histogram.get_sample_sum(), histogram.get_sample_count())
}

fn write_totals(text: &mut String, name: &str, labels: &[LabelPair], sum: f64, count: u64) -> Result {
    write_sample(text, name, "_count", labels, None, &count.to_string())?;
    text.push('\n');
    write_sample(text, name, "_sum", labels, None, &number(sum))?;
    text.push('\n');
    Ok(())
}

fn write_exemplar(text: &mut String, exemplar: &Metric) -> Result {
    let Some(trace) = exemplar.get_label().iter().find(|label| label.name() == TRACE_ID) else { return Ok(()) };
    let (seconds, millis) = (exemplar.timestamp_ms() / 1_000, exemplar.timestamp_ms() % 1_000);
    let value = number(exemplar.get_gauge().get_value());
    write!(text, " # {{{TRACE_ID}=\"{}\"}} {value} {seconds}.{millis:03}", escaped(trace.value()))
}

/// Writes a sample without the line break.
fn write_sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[LabelPair],
    further: Option<(&str, &str)>,
    value: &str,
) -> Result {
    write!(text, "{name}{suffix}")?;
    let mut separator = '{';
    for (name, value) in labels.iter().map(|label| (label.name(), label.value())).chain(further) {
        write!(text, "{separator}{name}=\"{}\"", escaped(value))?;
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    write!(text, " {value}")
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use prometheus::{Counter, CounterVec, Gauge, Opts, Registry};

    use super::*;
    use crate::metrics::Format;

    /// `prometheus-client` 0.26 from `PyPI`, whose parser is strict, takes it; so does a real Prometheus (crates/dogs).
    #[test]
    fn every_type_of_family_is_encoded() {
        let registry = Registry::new();
        let calls = CounterVec::new(Opts::new("calls_total", "Calls \"by\" name"), &["name"]).unwrap();
        calls.with_label_values(&["a\\b\n\"c\""]).inc_by(3.0);
        let busy = Counter::new("busy_seconds_total", "Time").unwrap();
        busy.inc_by(0.25);
        let (odd, size) = (Counter::new("odd", "One").unwrap(), Gauge::new("size_bytes", "Two\nlines \\").unwrap());
        size.set(f64::NAN);
        registry.register(Box::new(calls)).unwrap();
        registry.register(Box::new(busy)).unwrap();
        registry.register(Box::new(odd)).unwrap();
        registry.register(Box::new(size)).unwrap();
        let expected = r#"# TYPE busy_seconds counter
# UNIT busy_seconds seconds
# HELP busy_seconds Time
busy_seconds_total 0.25
# TYPE calls counter
# HELP calls Calls \"by\" name
calls_total{name="a\\b\n\"c\""} 3
# TYPE odd unknown
# HELP odd One
odd 0
# TYPE size_bytes gauge
# UNIT size_bytes bytes
# HELP size_bytes Two\nlines \\
size_bytes NaN
# EOF
"#;
        assert_eq!(Format::OpenMetrics.encode(&[registry]), expected);
    }

    #[test]
    fn infinite_numbers_have_a_name() {
        assert_eq!([f64::INFINITY, f64::NEG_INFINITY, 1.0, 0.5].map(number), ["+Inf", "-Inf", "1", "0.5"]);
    }
}
