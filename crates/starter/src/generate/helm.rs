//! A Helm chart of the programs, on Kennel's library chart.

use minijinja::{Value, context};

use super::Renderer;
use crate::config::{Application, Config, Grpc, Rest, WorkerKind};
use crate::templates::{self, Template};

/// The library chart.
const LIBRARY: [(&str, &str); 5] = [
    ("Chart.yaml", include_str!("../../../../infra/helm/kennel/Chart.yaml")),
    ("templates/_env.tpl", include_str!("../../../../infra/helm/kennel/templates/_env.tpl")),
    ("templates/_ingress.tpl", include_str!("../../../../infra/helm/kennel/templates/_ingress.tpl")),
    ("templates/_names.tpl", include_str!("../../../../infra/helm/kennel/templates/_names.tpl")),
    ("templates/_workload.tpl", include_str!("../../../../infra/helm/kennel/templates/_workload.tpl")),
];

/// The texts that files are made from.
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    LIBRARY.into_iter().map(|(_, text)| text)
}

/// Renders the chart.
pub(super) fn render(renderer: &mut Renderer<'_>, config: &Config) -> anyhow::Result<()> {
    let folder = format!("infra/helm/{}", config.main.name);
    let project = project(config)?;
    for template in templates::CHART {
        renderer.render(template, "", &project)?;
    }
    for app in config.services() {
        renderer.render(program(), &app.name, &context! { ..of_program(config, app), ..project.clone() })?;
    }
    for (path, text) in LIBRARY {
        let id = format!("infra/helm/charts/kennel/{path}");
        renderer.add(format!("{folder}/charts/kennel/{path}"), &id, "", text.to_owned())?;
    }
    Ok(())
}

fn program() -> &'static Template {
    &templates::CHART_PROGRAM
}

fn project(config: &Config) -> anyhow::Result<Value> {
    let name = &config.main.name;
    let description = config.main.description.clone().unwrap_or_else(|| format!("The programs of {name}"));
    let replicas = |app: &Application| {
        let is_server = config.rest_of(app).is_some() || config.grpc_of(app).is_some();
        context! { name => app.name.clone(), replicas => if is_server && !is_polling(config, app) { 2 } else { 1 } }
    };
    let hosts = config.services().filter(|app| config.rest_of(app).is_some()).map(|app| app.name.clone());
    let clients = unique(config.services().flat_map(|app| of_app(config, app)));
    let bots = unique(config.services().flat_map(|app| config.bots_of(app)));
    Ok(context! {
        project => name.clone(), ident => super::variables::ident(name),
        description => serde_json::to_string(&description)?,
        servers => config.storage.iter().filter(|store| *store != "sqlite").cloned().collect::<Vec<_>>(),
        apps => config.services().map(replicas).collect::<Vec<_>>(), hosts => hosts.collect::<Vec<_>>(),
        clients => clients.iter().map(Client::row).collect::<Vec<_>>(), bots => bots.into_iter().map(bot).collect::<Vec<_>>(),
        objects => config.services().any(|app| config.has_objects(app)),
    })
}

/// Whether it polls for the updates of a bot, which only one process with the token can do.
fn is_polling(config: &Config, app: &Application) -> bool {
    config.workers_of(app, WorkerKind::Telegram).next().is_some()
}

/// Each of them once, in their order.
fn unique<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut unique, next| {
        if !unique.contains(&next) {
            unique.push(next);
        }
        unique
    })
}

fn of_program(config: &Config, app: &Application) -> Value {
    context! { app => app.name.clone(), rest => config.rest_of(app).is_some(), grpc => config.grpc_of(app).is_some(),
    polling => is_polling(config, app), clients => of_app(config, app).iter().map(Client::row).collect::<Vec<_>>(),
    bots => config.bots_of(app).map(bot).collect::<Vec<_>>(), objects => config.has_objects(app) }
}

/// A Telegram bot: its name, and the prefix of its settings.
fn bot(name: &str) -> Value {
    context! { name => name, variable => prefix(name, "TELEGRAM") }
}

fn prefix(name: &str, kind: &str) -> String {
    format!("{}_{kind}", super::variables::ident(name).to_uppercase())
}

/// A service that a program calls.
#[derive(PartialEq)]
struct Client<'c> {
    name: &'c str,
    /// The prefix of its settings.
    variable: String,
    port: u16,
    has_credential: bool,
}

impl Client<'_> {
    fn row(&self) -> Value {
        context! { name => self.name.to_owned(), variable => self.variable.clone(), port => self.port,
        has_credential => self.has_credential }
    }
}

fn of_app<'c>(config: &'c Config, app: &Application) -> Vec<Client<'c>> {
    let http = |rest: &'c Rest| Client {
        name: &rest.name,
        variable: prefix(&rest.name, "API"),
        port: 8080,
        has_credential: rest.auth_params.is_some(),
    };
    let grpc = |grpc: &'c Grpc| Client {
        name: &grpc.name,
        variable: prefix(&grpc.name, "GRPC"),
        port: 50_051,
        has_credential: false,
    };
    config.clients_of(app).into_iter().map(http).chain(config.channels_of(app).into_iter().map(grpc)).collect()
}
