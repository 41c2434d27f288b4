//! Dashboards of the applications, alerts, and what Grafana and Prometheus read.

use anyhow::Context as _;
use serde_json::Value;

use super::{Renderer, variables};
use crate::config::{Application, Config, KafkaKind, WorkerKind};

const DASHBOARD: &str = include_str!("../../templates/infra/dashboard.json");
const RULES: [(&str, &str); 2] = [
    ("alerts", include_str!("../../templates/infra/alerts.yml")),
    ("recording", include_str!("../../templates/infra/recording.yml")),
];
const PROMETHEUS: &str = include_str!("../../../../infra/prometheus/prometheus.yml");
const DATASOURCES: &str = include_str!("../../../../infra/grafana/provisioning/datasources/kennel.yaml");
const PROVIDER: &str = include_str!("../../../../infra/grafana/provisioning/dashboards/kennel.yaml");

/// The texts that files are made from.
pub(crate) const TEXTS: [&str; 6] = [DASHBOARD, RULES[0].1, RULES[1].1, PROMETHEUS, DATASOURCES, PROVIDER];

/// Renders the files of `infra/`.
pub(super) fn render(renderer: &mut Renderer<'_>, config: &Config) -> anyhow::Result<()> {
    for app in config.services() {
        let path = format!("infra/grafana/dashboards/{}.json", app.name);
        renderer.add(path, "infra/grafana/dashboards/«app».json", &app.name, dashboard(config, app)?)?;
    }
    for (name, text) in RULES {
        let path = format!("infra/prometheus/rules/{name}.yml");
        let (_, rules) = text.split_once('\n').context("a file of rules has no comment")?;
        renderer.add(
            path.clone(),
            &path,
            "",
            format!("# By `kennel generate`. The runbooks are files of Kennel.\n{rules}"),
        )?;
    }
    let (_, prometheus) = PROMETHEUS.split_once("\nglobal:").context("the configuration of Prometheus")?;
    let prometheus = format!("# The programs to scrape are listed in targets/services.yml.\nglobal:{prometheus}");
    let files = [
        ("infra/prometheus/prometheus.yml", prometheus),
        ("infra/prometheus/targets/services.yml", targets(config)),
        ("infra/grafana/provisioning/datasources/datasources.yaml", datasources(config)?),
        ("infra/grafana/provisioning/dashboards/dashboards.yaml", provider(config)?),
    ];
    for (path, text) in files {
        renderer.add(path.to_owned(), path, "", text)?;
    }
    Ok(())
}

/// `text` with a replacement that has to be possible.
pub(super) fn replaced(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    anyhow::ensure!(text.contains(from), "the template does not contain `{from}`");
    Ok(text.replace(from, to))
}

/// The dashboard with the rows of what the application has, from top to bottom without gaps. Panels have the ids of the
/// template, so that those of a panel do not change with the rows above it.
fn dashboard(config: &Config, app: &Application) -> anyhow::Result<String> {
    let mut board: Value = serde_json::from_str(&DASHBOARD.replace("$job", &app.name))?;
    let Value::Array(panels) = board["panels"].take() else { anyhow::bail!("the dashboard has no panels") };
    let (mut shown, mut removed, mut hidden_from) = (Vec::new(), 0, None);
    for mut panel in panels {
        let top = panel["gridPos"]["y"].as_u64().context("a panel without a position")?;
        if panel["type"] == "row" {
            removed += hidden_from.take().map_or(0, |from| top - from);
            if !has_row(config, app, panel["title"].as_str().unwrap_or_default())? {
                hidden_from = Some(top);
            }
        }
        if hidden_from.is_none() {
            panel["gridPos"]["y"] = (top - removed).into();
            shown.push(panel);
        }
    }
    board["panels"] = Value::Array(shown);
    Ok(format!("{board:#}\n"))
}

fn has_row(config: &Config, app: &Application, title: &str) -> anyhow::Result<bool> {
    Ok(match title {
        "HTTP" => config.rest_of(app).is_some(),
        "gRPC" => config.grpc_of(app).is_some(),
        "HTTP clients" => !config.clients_of(app).is_empty() || config.bots_of(app).next().is_some(),
        "gRPC clients" => !config.channels_of(app).is_empty(),
        "Consumers" => {
            config.kafka_of(app, KafkaKind::Consumer).next().is_some()
                || config.workers_of(app, WorkerKind::Queue).next().is_some()
        }
        "Now" | "Database" | "Outbox" | "Broker" | "Process" | "Objectives" | "Alerts" | "Traces" | "Logs" => true,
        other => anyhow::bail!("it is not known which applications have the row `{other}`"),
    })
}

const TARGETS: &str = "\
# The programs on this machine, with the ports of `make run-<application>`. They have to listen on all addresses, as with
# SERVER_HOST=0.0.0.0, since Prometheus runs in a container.
";

/// The programs as Prometheus scrapes them from its container.
fn targets(config: &Config) -> String {
    let programs = config.applications.iter().zip(variables::ports(config));
    let rows = programs.filter_map(|(app, ports)| {
        let address = format!("host.docker.internal:{}", ports.sys?);
        Some(format!("- targets: [{address}]\n  labels: {{ job: \"{}\" }}\n", app.name))
    });
    rows.fold(TARGETS.to_owned(), |text, row| text + &row)
}

fn datasources(config: &Config) -> anyhow::Result<String> {
    let mut text = DATASOURCES.to_owned();
    for source in config.grafana.iter().flat_map(|grafana| &grafana.datasources) {
        let kind = &source.kind;
        let start = text.find(&format!("    uid: {kind}\n")).context("a data source of this type")?;
        let (before, after) = text.split_at(start);
        let (before, _) = before.rsplit_once("- name: ").context("a data source with a name")?;
        let (head, rest) = after.split_once("    url: ").context("a data source with a URL")?;
        let (_, rest) = rest.split_once('\n').context("a data source with a URL")?;
        let (name, url) = (serde_json::to_string(&source.name)?, serde_json::to_string(&source.url)?);
        text = format!("{before}- name: {name}\n{head}    url: {url}\n{rest}");
    }
    Ok(text)
}

fn provider(config: &Config) -> anyhow::Result<String> {
    let text = replaced(PROVIDER, "name: kennel", &format!("name: \"{}\"", config.main.name))?;
    replaced(&text, "folder: Kennel", &format!("folder: \"{}\"", config.main.name))
}
