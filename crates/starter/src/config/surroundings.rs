//! The sections about what is around the programs.

use serde::Deserialize;

/// Dashboards and alerts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grafana {
    /// Where the data of dashboards is, if not in the containers of the project.
    #[serde(default)]
    pub datasources: Vec<Datasource>,
}

/// A data source of Grafana.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datasource {
    /// Its name.
    pub name: String,
    /// `prometheus`, `loki` or `tempo`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where Grafana finds it.
    pub url: String,
}

/// How a project is deployed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Whether it has a Helm chart.
    #[serde(default)]
    pub helm: bool,
}

/// What packages have in common.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packaging {
    /// Who is responsible.
    pub maintainer: String,
    /// The organisation.
    pub vendor: Option<String>,
    /// A URL.
    pub homepage: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
}
