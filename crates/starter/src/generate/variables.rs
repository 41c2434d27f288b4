//! The variables of templates.

use minijinja::{Value, context};

use crate::config::{Application, Config};
use crate::words::pascal;

/// Version of Rust of generated projects: that of the platform.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// `-` in the name of a crate is `_` in code.
fn ident(name: &str) -> String {
    name.replace('-', "_")
}

fn about(config: &Config) -> String {
    let description = config.main.description.clone().unwrap_or_else(|| format!("The service {}", config.main.name));
    // It becomes a text of Rust and of TOML.
    description.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Of the files of the whole project.
pub(super) fn project(config: &Config) -> Value {
    let apps: Vec<_> =
        config.applications.iter().enumerate().map(|(index, app)| application_row(config, index, app)).collect();
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
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), about => about(config), rust => RUST,
    own => !config.platform.workspace, apps => apps, phony => phony.concat(), features => features.join(","), ..kinds }
}

/// What the README and the Makefile have of an application.
fn application_row(config: &Config, index: usize, app: &Application) -> Value {
    let mut servers = Vec::new();
    let mut variables = Vec::new();
    if let Some(rest) = config.rest_of(app) {
        servers.push(format!("HTTP on {}", rest.port));
        variables.push(format!("SERVER_PORT={}", rest.port));
    }
    if let Some(grpc) = config.grpc_of(app) {
        servers.push(format!("gRPC on {}", grpc.port));
        variables.push(format!("GRPC_PORT={}", grpc.port));
    }
    // Programs run next to each other.
    let sys = 9_090 + index;
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
