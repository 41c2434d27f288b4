//! The dashboards and the alerting rules of every service on the platform, written as code.
//!
//! Expressions are built from [`kennel_telemetry::metrics::names`], so that renaming a metric breaks the build. What
//! comes out is committed under `infra/`; [`files`] says which file holds what, and a test compares.

pub mod boards;
mod dashboard;
mod expr;
mod panel;
pub mod recorded;
mod rules;
pub mod slo;

use std::path::PathBuf;

pub use dashboard::Dashboard;
pub use expr::{Expr, Series, max, min, quantile, series, sum};
pub use panel::{Kind, Panel, Query, Source, Unit};
pub use rules::{Alert, Group, Recording, Rule, Severity};

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dashboard has no JSON form.
    #[error("a dashboard cannot be written as json")]
    Json(#[from] serde_json::Error),
    /// A group of rules has no YAML form.
    #[error("rules cannot be written as yaml")]
    Yaml(#[from] yaml_serde::Error),
}

/// Every generated file: its path below `infra/`, and its text.
pub fn files() -> Result<Vec<(PathBuf, String)>, Error> {
    let dashboards = boards::all().into_iter().map(|board| {
        let path = PathBuf::from(format!("grafana/dashboards/{}.json", board.uid()));
        Ok((path, board.to_json()?))
    });
    let rules = rules::files().into_iter().map(|(name, groups)| {
        let path = PathBuf::from(format!("prometheus/rules/{name}.yml"));
        Ok((path, rules::to_yaml(&groups)?))
    });
    dashboards.chain(rules).collect()
}

/// Every group of rules.
pub fn groups() -> Vec<Group> {
    rules::files().into_iter().flat_map(|(_, groups)| groups).collect()
}
