//! Dashboards and alerting rules of every service on the platform, as code.
//!
//! Expressions are built from [`kennel_telemetry::metrics::names`], so that renaming a metric breaks the build. The
//! generated files, listed by [`files`], are committed under `infra/`; a test fails if they are stale.

pub mod boards;
mod dashboard;
mod expr;
pub mod market;
mod panel;
pub mod recorded;
mod rules;
pub mod services;
pub mod slo;

use std::path::PathBuf;

pub use dashboard::Dashboard;
pub use expr::{Expr, Series, max, min, quantile, series, sum};
pub use panel::{Kind, Panel, Query, Source, Unit};
pub use rules::{Alert, Group, Recording, Rule, Severity};

/// Errors of generating a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dashboard cannot be serialized.
    #[error("cannot serialize dashboard as json")]
    Json(#[from] serde_json::Error),
    /// Rules cannot be serialized.
    #[error("cannot serialize rules as yaml")]
    Yaml(#[from] yaml_serde::Error),
    /// `services.toml` cannot be read.
    #[error("cannot read services.toml")]
    Services(#[from] toml::de::Error),
    /// A service declares an objective that does not exist, or whose value is no percentage from 50 to 100.
    #[error(
        "services.toml: the objective `{objective}` of `{service}` does not exist, or is not from 50 to 100 percent"
    )]
    Objective {
        /// The service.
        service: String,
        /// The objective.
        objective: String,
    },
}

/// All generated files: their paths relative to `infra/`, and their contents.
pub fn files() -> Result<Vec<(PathBuf, String)>, Error> {
    let dashboards = boards::all().into_iter().map(|board| {
        let path = PathBuf::from(format!("grafana/dashboards/{}.json", board.uid()));
        Ok((path, board.to_json()?))
    });
    let market = ("market".to_owned(), vec![market::alerts()]);
    let rules = rules::files(&services::declared()?).into_iter().chain([market]).map(|(name, groups)| {
        let path = PathBuf::from(format!("prometheus/rules/{name}.yml"));
        Ok((path, rules::to_yaml(&groups)?))
    });
    dashboards.chain(rules).collect()
}

/// What `kennel`, the starter, generates projects with: paths relative to `crates/starter/templates/infra/`, and contents. In the
/// dashboard, `$job` stands for the name of an application.
pub fn templates() -> Result<Vec<(PathBuf, String)>, Error> {
    let dashboard = (PathBuf::from("dashboard.json"), boards::application().to_json()?);
    let rules = rules::files(&[]).into_iter();
    let rules = rules.map(|(name, groups)| Ok((PathBuf::from(format!("{name}.yml")), rules::to_yaml(&groups)?)));
    std::iter::once(Ok(dashboard)).chain(rules).collect()
}

/// The groups of rules that are for every service.
pub fn groups() -> Vec<Group> {
    rules::files(&[]).into_iter().flat_map(|(_, groups)| groups).collect()
}

/// The groups of rules of all services.
pub fn all_groups() -> Result<Vec<Group>, Error> {
    let of_services = rules::files(&services::declared()?).into_iter().flat_map(|(_, groups)| groups);
    Ok(of_services.chain([market::alerts()]).collect())
}
