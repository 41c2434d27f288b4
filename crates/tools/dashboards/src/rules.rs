//! Prometheus rules: recording rules and alerts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::services::ServiceObjectives;
use crate::slo::Jobs;
use crate::{Error, Expr, slo};

/// Rules that are evaluated together, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    name: String,
    rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Rule {
    /// A recording rule.
    Record(Recording),
    /// An alerting rule.
    Alert(Alert),
}

/// A recording rule: a series that Prometheus precomputes.
#[derive(Debug, Clone, Serialize)]
pub struct Recording {
    #[serde(rename = "record")]
    name: &'static str,
    expr: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'static str, String>,
}

/// Severity of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Someone has to react now.
    Page,
    /// Someone has to react on the next working day.
    Ticket,
}

/// An alerting rule.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    #[serde(rename = "alert")]
    name: &'static str,
    expr: String,
    r#for: &'static str,
    labels: BTreeMap<&'static str, &'static str>,
    annotations: BTreeMap<&'static str, String>,
    /// The series of the condition without its threshold. They exist also while the alert does not fire.
    #[serde(skip)]
    inputs: Vec<Expr>,
}

impl Group {
    /// Creates a group.
    pub fn new(name: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self { name: name.into(), rules }
    }

    /// Rules of the group.
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
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.insert(name, value.into());
        self
    }

    /// Name of the series.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Expression of the series.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// Labels that the rule adds.
    pub const fn labels(&self) -> &BTreeMap<&'static str, String> {
        &self.labels
    }
}

impl Alert {
    /// Creates an alert that fires once `expr` has been true for `pending_for`. `runbook` is a page of `docs/runbooks`,
    /// without `.md`.
    pub fn new(name: &'static str, severity: Severity, expr: &Expr, pending_for: &'static str, runbook: &str) -> Self {
        let severity = match severity {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        };
        Self {
            name,
            expr: expr.as_str().to_owned(),
            r#for: pending_for,
            labels: BTreeMap::from([("severity", severity)]),
            annotations: BTreeMap::from([("runbook", format!("docs/runbooks/{runbook}.md"))]),
            inputs: Vec::new(),
        }
    }

    /// Sets the summary, a template that may use `{{ $labels.job }}` and other labels.
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

    /// Sets the series of the condition.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Vec<Expr>) -> Self {
        self.inputs = inputs;
        self
    }

    /// Name of the alert.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Condition of the alert.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// The series of the condition, without its threshold.
    pub fn inputs(&self) -> &[Expr] {
        &self.inputs
    }

    /// Path of the runbook, relative to the root of the repository.
    pub fn runbook(&self) -> &str {
        &self.annotations["runbook"]
    }
}

/// Names and groups of the files.
pub(crate) fn files(declared: &[ServiceObjectives]) -> Vec<(String, Vec<Group>)> {
    let others = Jobs::Others(declared.iter().map(|one| one.service.clone()).collect());
    let burning = slo::burning(&slo::OBJECTIVES, &others);
    let mut files = vec![
        ("recording".to_owned(), vec![slo::recordings(&slo::OBJECTIVES, &others)]),
        ("alerts".to_owned(), vec![burning, slo::broken()]),
    ];
    files.extend(declared.iter().map(|ServiceObjectives { service, objectives }| {
        let job = Jobs::One(service.clone());
        (service.clone(), vec![slo::recordings(objectives, &job), slo::burning(objectives, &job)])
    }));
    files
}

/// Renders the YAML that Prometheus reads.
pub(crate) fn to_yaml(groups: &[Group]) -> Result<String, Error> {
    #[derive(Serialize)]
    struct File<'a> {
        groups: &'a [Group],
    }
    let text = yaml_serde::to_string(&File { groups })?;
    Ok(format!("# Generated from crates/tools/dashboards by `make generate`; do not edit.\n{text}"))
}
