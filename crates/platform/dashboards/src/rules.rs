//! Rules of Prometheus: series that it records, and alerts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Error, Expr, slo};

/// Rules that are evaluated together, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    name: &'static str,
    rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Rule {
    /// A series to record.
    Record(Recording),
    /// A condition to tell of.
    Alert(Alert),
}

/// A series that Prometheus works out ahead.
#[derive(Debug, Clone, Serialize)]
pub struct Recording {
    #[serde(rename = "record")]
    name: &'static str,
    expr: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'static str, &'static str>,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Someone has to look now.
    Page,
    /// Someone has to look on the next working day.
    Ticket,
}

/// A condition that someone has to know of.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    #[serde(rename = "alert")]
    name: &'static str,
    expr: String,
    r#for: &'static str,
    labels: BTreeMap<&'static str, &'static str>,
    annotations: BTreeMap<&'static str, String>,
    /// What the condition looks at, without its limit: it has a value while all is well, too.
    #[serde(skip)]
    watched: Vec<Expr>,
}

impl Group {
    /// A group.
    pub const fn new(name: &'static str, rules: Vec<Rule>) -> Self {
        Self { name, rules }
    }

    /// Its rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Recording {
    /// Records `expr` as `name`.
    pub fn new(name: &'static str, expr: &Expr) -> Self {
        Self { name, expr: expr.as_str().to_owned(), labels: BTreeMap::new() }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.insert(name, value);
        self
    }

    /// The name of the series.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it is worked out.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// The labels that it adds.
    pub const fn labels(&self) -> &BTreeMap<&'static str, &'static str> {
        &self.labels
    }
}

impl Alert {
    /// Tells of `expr` once it has held for `hold`. `runbook` is a page of `docs/runbooks`, without `.md`.
    pub fn new(name: &'static str, severity: Severity, expr: &Expr, hold: &'static str, runbook: &str) -> Self {
        let severity = match severity {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        };
        Self {
            name,
            expr: expr.as_str().to_owned(),
            r#for: hold,
            labels: BTreeMap::from([("severity", severity)]),
            annotations: BTreeMap::from([("runbook", format!("docs/runbooks/{runbook}.md"))]),
            watched: Vec::new(),
        }
    }

    /// Says in a line what is wrong; `{{ $labels.job }}` and the like are filled in.
    #[must_use]
    pub fn summary(mut self, text: &str) -> Self {
        self.annotations.insert("summary", text.to_owned());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.insert(name, value);
        self
    }

    /// Names what the condition looks at.
    #[must_use]
    pub fn watching(mut self, watched: Vec<Expr>) -> Self {
        self.watched = watched;
        self
    }

    /// What it is called.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The condition.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// What the condition looks at, without its limit.
    pub fn watched(&self) -> &[Expr] {
        &self.watched
    }

    /// The page that says what to do, from the root of the repository.
    pub fn runbook(&self) -> &str {
        &self.annotations["runbook"]
    }
}

/// Each file's name and groups.
pub(crate) fn files() -> Vec<(&'static str, Vec<Group>)> {
    vec![("recording", slo::recordings()), ("alerts", slo::alerts())]
}

/// What Prometheus reads.
pub(crate) fn to_yaml(groups: &[Group]) -> Result<String, Error> {
    #[derive(Serialize)]
    struct File<'a> {
        groups: &'a [Group],
    }
    let text = yaml_serde::to_string(&File { groups })?;
    Ok(format!("# Generated from crates/platform/dashboards by `make generate`; do not edit.\n{text}"))
}
