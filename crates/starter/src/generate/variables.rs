//! The variables of templates.

use std::collections::BTreeSet;

use minijinja::{Value, context};

use crate::config::{Application, Config};
use crate::words::pascal;

/// Version of Rust of generated projects: that of the platform.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// `-` in the name of a crate is `_` in code.
fn ident(name: &str) -> String {
    name.replace('-', "_")
}

fn description(config: &Config) -> String {
    config.main.description.clone().unwrap_or_else(|| format!("The service {}", config.main.name))
}

/// The description between the quotes of Rust and of TOML.
fn about(config: &Config) -> String {
    description(config).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Of the files of the whole project.
pub(super) fn project(config: &Config) -> Value {
    let mut ports = Ports::new(config);
    let apps: Vec<_> = config.applications.iter().map(|app| application_row(config, &mut ports, app)).collect();
    let phony: Vec<_> = config.applications.iter().map(|app| format!(" run-{}", app.name)).collect();
    let modules: Vec<_> = config
        .kafka
        .iter()
        .map(|consumer| ident(&consumer.name))
        .chain(config.worker.iter().map(|worker| ident(&worker.name)))
        .collect();
    let is_kind = |kind: &str| config.worker.iter().any(|worker| worker.generator_type == kind);
    let features: Vec<_> =
        config.storage.iter().map(String::as_str).chain(["nats", "kafka", "rabbitmq", "pprof"]).collect();
    let stores = context! { store => config.storage[0].clone(), stores => config.storage.clone(),
    clickhouse => config.has_store("clickhouse"), sql => config.storage.iter().any(|store| store != "clickhouse") };
    let kinds = context! { rest => !config.rest.is_empty(), grpc => !config.grpc.is_empty(),
    any_grpc => !config.grpc.is_empty(), any_transport => !config.rest.is_empty() || !config.grpc.is_empty(),
    any_module => !modules.is_empty(), modules => modules, schedules => is_kind("schedule"),
    daemons => is_kind("daemon"), consumers => !config.kafka.is_empty(), ..stores };
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), about => about(config),
    description => description(config), rust => RUST,
    own => !config.platform.workspace, apps => apps, phony => phony.concat(), features => features.join(","), ..kinds }
}

/// The ports of programs that run next to each other.
struct Ports {
    /// Those of the configuration, and those that programs have.
    reserved: BTreeSet<u16>,
    /// Servers that a program has with the port of the configuration.
    served: BTreeSet<u16>,
}

impl Ports {
    fn new(config: &Config) -> Self {
        let configured = config.rest.iter().map(|rest| rest.port).chain(config.grpc.iter().map(|grpc| grpc.port));
        Self { reserved: configured.collect(), served: BTreeSet::new() }
    }

    /// The first program with a server has its port; the others have the next ones.
    fn of_server(&mut self, port: u16) -> u16 {
        if self.served.insert(port) { port } else { self.next(port) }
    }

    fn next(&mut self, from: u16) -> u16 {
        let free = (from..=u16::MAX).chain((1_024..from).rev()).find(|port| !self.reserved.contains(port));
        let port = free.unwrap_or(from);
        self.reserved.insert(port);
        port
    }
}

/// What the README and the Makefile have of an application.
fn application_row(config: &Config, ports: &mut Ports, app: &Application) -> Value {
    let mut servers = Vec::new();
    let mut variables = Vec::new();
    if let Some(rest) = config.rest_of(app) {
        let port = ports.of_server(rest.port);
        servers.push(format!("HTTP on {port}"));
        variables.push(format!("SERVER_PORT={port}"));
    }
    if let Some(grpc) = config.grpc_of(app) {
        let port = ports.of_server(grpc.port);
        servers.push(format!("gRPC on {port}"));
        variables.push(format!("GRPC_PORT={port}"));
    }
    let sys = ports.next(9_090);
    servers.push(format!("metrics and health on {sys}"));
    variables.push(format!("PROMETHEUS_PORT={sys}"));
    context! { name => app.name.clone(), servers => servers.join(", "), variables => variables.join(" ") }
}

/// Of the files of an application.
pub(super) fn application(config: &Config, app: &Application) -> Value {
    let (rest, grpc) = (config.rest_of(app).is_some(), config.grpc_of(app).is_some());
    let uses = [(rest, ".and(Uses::HTTP)"), (grpc, ".and(Uses::GRPC)")];
    let uses: String = uses.into_iter().filter(|(used, _)| *used).map(|(_, text)| text).collect();
    let groups: Vec<_> = app.kafka.iter().map(|name| format!("\"{}.{name}\"", app.name)).collect();
    let row = |name: &String| context! { name => name, module => ident(name), Name => pascal(name) };
    let of_kind = |kind: &str| -> Vec<_> {
        let workers = config.worker.iter().filter(|worker| worker.generator_type == kind);
        workers.filter(|worker| app.worker.contains(&worker.name)).map(|worker| row(&worker.name)).collect()
    };
    let mut modules: Vec<_> = app.kafka.iter().chain(&app.worker).map(|name| ident(name)).collect();
    modules.sort();
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), about => about(config),
    app => app.name.clone(), app_ident => ident(&app.name), rest => rest, grpc => grpc, transports => rest || grpc,
    uses => uses, groups => groups.join(", "), modules => modules,
    consumers => app.kafka.iter().map(row).collect::<Vec<_>>(), schedules => of_kind("schedule"),
    daemons => of_kind("daemon"), store => config.storage[0].clone(), stores => config.storage.clone() }
}

/// Of the module of a consumer or worker.
pub(super) fn module(config: &Config, name: &str, interval: &str) -> Value {
    let (number, unit) = duration(interval);
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), name => name, module => ident(name),
    Name => pascal(name), number => number, unit => unit }
}

/// A number and the unit of a constructor of `Duration`: the largest one that is exact.
fn duration(interval: &str) -> (u64, &'static str) {
    let (number, unit) = interval.split_at(interval.len() - 1);
    let scale = match unit {
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    match number.parse::<u64>().unwrap_or(1) * scale {
        seconds if seconds % 3_600 == 0 => (seconds / 3_600, "hours"),
        seconds if seconds % 60 == 0 => (seconds / 60, "mins"),
        seconds => (seconds, "secs"),
    }
}
