//! The results of all expressions of the dashboards and rules during load and faults.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kennel_dashboards::{Query, Rule, Source, boards, groups};
use kennel_testkit::prometheus::Prometheus;
use serde_json::Value;

/// Expressions that may return nothing, by the start of their name, and why. One that returns data must be removed.
const EMPTY: [(&str, &str); 16] = [
    ("Platform Metrics / TLS handshakes", NO_TLS),
    ("input of Certificate", NO_TLS),
    ("Cache and Objects / Reads of objects that never change", "only gif-api reads such objects from memory"),
    ("Platform Metrics / Requests refused by reason", NO_AUTH),
    ("Platform Metrics / Reads of the issuer's keys", NO_AUTH),
    ("input of IssuerKeysUnreadable", NO_AUTH),
    ("Market Analytics / ", MARKET),
    ("Platform Metrics / gRPC calls to upstreams", NO_CLIENT),
    ("Platform Metrics / gRPC p95 of upstreams", NO_CLIENT),
    ("Platform Metrics / gRPC addresses of upstreams", NO_CLIENT),
    ("Platform Tracing / Spans", COLLECTOR),
    ("Platform Tracing / Failed spans", COLLECTOR),
    ("Platform Tracing / Span p95", COLLECTOR),
    ("Platform Tracing / Failed traces", "TraceQL, answered by Tempo"),
    ("Platform Tracing / Slow traces", "TraceQL, answered by Tempo"),
    ("Platform Tracing / Warnings and errors", "LogQL, answered by Loki"),
];
/// Alerts that the faults of this test do not trigger.
const QUIET: [(&str, &str); 6] = [
    ("alert Certificate", "no server has a certificate; promtool tests trigger it"),
    ("alert IssuerKeysUnreadable", "no tokens arrive; promtool tests trigger it"),
    ("alert ConsumerLag", "no group has a thousand events before it; promtool tests trigger it"),
    ("alert NoProgress", "everything makes progress; promtool tests trigger it"),
    ("alert DependencyDown", "everything is up; promtool tests trigger it"),
    ("alert RelayWithoutLeader", "one process runs and leads; promtool tests trigger it"),
];

const NO_TLS: &str = "this server has no TLS";
const NO_AUTH: &str = "every request is accepted here";
const MARKET: &str = "the market analytics does not run here";
const NO_CLIENT: &str = "dogs calls no service over gRPC";
const COLLECTOR: &str = "counted by the collector, which does not run here";

/// One expression.
pub(crate) struct Row {
    name: String,
    expr: String,
    source: Source,
    legend: String,
    has_exemplars: bool,
    series: Vec<(Value, String)>,
}

fn has_data(series: &[(Value, String)]) -> bool {
    series.iter().any(|(_, value)| value != "NaN")
}

impl Row {
    fn of_panel(name: &str, query: &Query) -> Self {
        let (name, expr, legend) = (name.to_owned(), query.expr.clone(), query.legend.clone());
        Self { name, expr, source: query.source, legend, has_exemplars: query.has_exemplars(), series: Vec::new() }
    }

    fn of_rule(name: String, expr: &str) -> Self {
        let (expr, legend) = (expr.to_owned(), String::new());
        Self { name, expr, source: Source::Prometheus, legend, has_exemplars: false, series: Vec::new() }
    }

    fn reason(&self) -> Option<&'static str> {
        let mut listed = EMPTY.iter().chain(&QUIET);
        listed.find(|(name, _)| self.name.starts_with(name)).map(|(_, reason)| *reason)
    }

    /// Whether exemplars of its buckets have traces. There are none of what does not run here.
    fn has_exemplars(&self) -> bool {
        self.has_exemplars && !matches!(self.reason(), Some(COLLECTOR | MARKET | NO_CLIENT))
    }

    /// Whether it returns nothing, or only NaN, without a reason.
    pub(crate) fn is_unexplained(&self) -> bool {
        !self.has_data() && self.reason().is_none()
    }

    fn has_data(&self) -> bool {
        has_data(&self.series)
    }

    /// A label of the legend that no series has.
    fn unknown_label(&self) -> Option<&str> {
        let labels = self.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        let known = |label: &str| self.series.iter().any(|(metric, _)| metric.get(label).is_some());
        labels.into_iter().find(|label| self.has_data() && !known(label))
    }

    fn sample(&self) -> String {
        let shown = self.series.iter().find(|(_, value)| value != "NaN" && value != "0").or(self.series.first());
        match (shown, self.reason()) {
            (Some((metric, value)), _) if self.has_data() => {
                format!("{value} {metric} ({} series)", self.series.len())
            }
            (_, Some(reason)) => format!("– {reason}"),
            _ => "NOTHING".to_owned(),
        }
    }
}

/// Every expression of every dashboard and rule.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = panels();
    rows.extend(groups().iter().flat_map(|group| group.rules().iter().flat_map(of_rule).collect::<Vec<_>>()));
    rows
}

/// Evaluates each expression. An expression that had data retains it: a fault that triggers one alert may have ended, or be
/// a small ratio of all requests, when another alert is triggered.
pub(crate) async fn evaluate(rows: &mut [Row], prometheus: &Prometheus) {
    for row in rows.iter_mut().filter(|row| row.source == Source::Prometheus) {
        let series = prometheus.query(&filled(&row.expr)).await;
        if has_data(&series) || !row.has_data() {
            row.series = series;
        }
    }
}

/// Replaces variables as Grafana does.
fn filled(expr: &str) -> String {
    expr.replace("$__rate_interval", "5m").replace("$job", "dogs")
}

fn panels() -> Vec<Row> {
    let mut rows = Vec::new();
    for board in boards::all() {
        for panel in board.panels() {
            let name = format!("{} / {}", board.title(), panel.title());
            rows.extend(panel.queries().iter().map(|query| Row::of_panel(&name, query)));
        }
    }
    rows
}

/// A recorded series is looked up by its name; an alert by the series of its condition and by the condition itself.
fn of_rule(rule: &Rule) -> Vec<Row> {
    match rule {
        Rule::Record(recording) => {
            let labels = recording.labels().iter().map(|(name, value)| format!("{name}=\"{value}\""));
            let series = format!("{}{{{}}}", recording.name(), labels.collect::<Vec<_>>().join(","));
            vec![Row::of_rule(format!("record {series}"), &series)]
        }
        Rule::Alert(alert) => {
            let inputs = alert.inputs().iter().map(|expr| (format!("input of {}", alert.name()), expr.as_str()));
            inputs
                .map(|(name, expr)| Row::of_rule(name, expr))
                .chain([Row::of_rule(format!("alert {}", alert.name()), alert.expr())])
                .collect()
        }
    }
}

/// The traces of the exemplars of each latency panel.
pub(crate) async fn exemplars(rows: &[Row], prometheus: &Prometheus) -> Vec<(String, BTreeSet<String>)> {
    let mut exemplars = Vec::new();
    for row in rows.iter().filter(|row| row.has_exemplars()) {
        exemplars.push((row.name.clone(), prometheus.exemplars(&filled(&row.expr)).await));
    }
    exemplars
}

/// A Markdown table.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text = "| panel or alert | expression | sample |\n|---|---|---|\n".to_owned();
    for row in rows {
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(text, "| {} | `{}` | {} |", cell(&row.name), cell(&row.expr), cell(&row.sample())).unwrap();
    }
    let empty = rows.iter().filter(|row| !row.has_data()).count();
    writeln!(text, "\n{} expressions, {} with data, {empty} listed with a reason", rows.len(), rows.len() - empty)
        .unwrap();
    text
}

/// The problems: empty without a reason, with a reason but not empty, or a legend with missing labels.
pub(crate) fn faults(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        if row.is_unexplained() {
            faults.push(format!("{} returns nothing: {}", row.name, row.expr));
        }
        if let Some(label) = row.unknown_label() {
            faults.push(format!("{}: no series has the label {label}", row.name));
        }
        let excused = EMPTY.iter().any(|(name, _)| row.name.starts_with(name));
        if excused && row.has_data() {
            faults.push(format!("{} returns data: strike it off the list", row.name));
        }
    }
    let unused = EMPTY.iter().chain(&QUIET).filter(|(name, _)| !rows.iter().any(|row| row.name.starts_with(name)));
    faults.extend(unused.map(|(name, _)| format!("no expression is called {name}")));
    faults
}
