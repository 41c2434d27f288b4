//! The variables of templates.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Value, context};

use super::code::operations;
use super::{commands, workers};
use crate::config::{Application, Config, Grpc, GrpcKind, Kafka, KafkaKind, Rest, RestKind, SchemaSet, WorkerKind};
use crate::contract::commands::FlagKind;
use crate::contract::names::snake;
use crate::contract::proto::{Method, Proto, Service};
use crate::contract::{Api, Contracts, Operation, TypedEvent};
use crate::words::pascal;

/// Version of Rust of generated projects: that of the platform.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// `-` in the name of a crate is `_` in code.
pub(super) fn ident(name: &str) -> String {
    name.replace('-', "_")
}

fn description(config: &Config) -> String {
    config.main.description.clone().unwrap_or_else(|| format!("The service {}", config.main.name))
}

/// The description between the quotes of Rust and of TOML.
fn about(config: &Config) -> String {
    description(config).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Of the files of the whole project. `code` is that of the documents.
pub(super) fn project(config: &Config, contracts: &Contracts, code: &str) -> Value {
    let programs = config.applications.iter().zip(ports(config));
    let apps: Vec<_> = programs.map(|(app, ports)| application_row(config, app, &ports)).collect();
    let phony: Vec<_> = config.applications.iter().map(|app| format!(" run-{}", app.name)).collect();
    let consumers: Vec<_> = config.kafka.iter().filter(|kafka| kafka.kind == KafkaKind::Consumer).collect();
    let modules: Vec<_> = consumers
        .iter()
        .map(|consumer| ident(&consumer.name))
        .chain(config.worker.iter().map(|worker| ident(&worker.name)))
        .collect();
    let is_kind = |kind| config.worker_kind(kind).next().is_some();
    let features = config.storage.iter().map(String::as_str).chain(["nats", "kafka", "rabbitmq", "pprof"]);
    let features: Vec<_> = features.chain(config.has_s3().then_some("s3")).collect();
    let stores = context! { store => config.storage[0].clone(), stores => config.storage.clone(),
    clickhouse => config.has_store("clickhouse") };
    let modules_of = |kind| config.rest_kind(kind).map(|rest| ident(&rest.name)).collect::<Vec<_>>();
    let (servers, clients) = (modules_of(RestKind::Openapi), modules_of(RestKind::OpenapiClient));
    let has_entity = config.rest_kind(RestKind::Entity).next().is_some();
    let producers = config.kafka.iter().filter(|kafka| kafka.kind == KafkaKind::Producer);
    let queues = config.worker_kind(WorkerKind::Queue).map(|worker| ident(&worker.name));
    let mut implementations: Vec<_> =
        servers.iter().cloned().chain(producers.map(|kafka| ident(&kafka.name))).collect();
    let uses_contracts = !implementations.is_empty();
    implementations.extend(queues);
    implementations.sort();
    let set = |set: &SchemaSet| {
        let mut events: Vec<_> = set.schemas.iter().map(|schema| ident(&schema.id)).collect();
        events.sort();
        context! { name => set.name.clone(), module => ident(&set.name), events => events }
    };
    let typed = context! { implementations => implementations, uses_contracts => uses_contracts, sets => config.jsonschema.iter().map(set).collect::<Vec<_>>(),
    typed_consumers => consumers.iter().any(|consumer| !consumer.events.is_empty()) };
    let mut documents: Vec<_> = servers.iter().chain(&clients).cloned().collect();
    documents.sort();
    let documents = context! { documents => documents, uses_regex => code.contains("regex::"),
    uses_uuid => code.contains("uuid::"), uses_json => code.contains("serde_json::"),
    uses_serde => code.contains("use serde::"), uses_schemars => code.contains("use schemars::"), ..typed };
    let services: Vec<_> = config.grpc_kind(GrpcKind::Proto).map(|grpc| ident(&grpc.name)).collect();
    let command_lines: Vec<_> = config.cli.iter().map(|cli| ident(&cli.name)).collect();
    let flags = contracts
        .commands
        .values()
        .flatten()
        .flat_map(|command| command.flags.iter().chain(command.subcommands.iter().flat_map(|inner| &inner.flags)));
    let uses_duration = flags.into_iter().any(|flag| flag.kind == FlagKind::Duration);
    let has_rpc = config.grpc_kind(GrpcKind::Entity).next().is_some();
    let has_channels = config.grpc_kind(GrpcKind::ProtoClient).next().is_some();
    let mut protos: Vec<_> = contracts.protos.values().map(|proto| proto.file.clone()).collect();
    protos.sort();
    protos.dedup();
    let packages: BTreeSet<_> = contracts.protos.values().flat_map(|proto| &proto.packages).cloned().collect();
    let protos = context! { protos => protos, packages => modules_of_packages(&packages), channels => has_channels };
    let protos = context! { command_lines => command_lines, uses_duration => uses_duration, ..protos };
    let transports = has_entity || has_rpc || !servers.is_empty() || !services.is_empty() || !config.cli.is_empty();
    let kinds = context! { rest => has_entity, grpc => has_rpc, http => has_entity || !servers.is_empty(),
    rpc => has_rpc || !services.is_empty(), any_grpc => !config.grpc.is_empty(), any_transport => transports,
    servers => servers, services => services, clients => clients, ..context! { ..documents, ..protos } };
    let kinds = context! {
    any_module => !modules.is_empty(), modules => modules, schedules => is_kind(WorkerKind::Schedule),
    daemons => is_kind(WorkerKind::Daemon), consumers => !consumers.is_empty(), ..context! { ..stores, ..kinds } };
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), about => about(config),
    description => description(config), rust => RUST,
    own => !config.platform.workspace, apps => apps, first => first(config), phony => phony.concat(), features => features.join(","),
    ..context! { ..context! { ..kinds, ..workers::of_project(config) }, ..surroundings(config) } }
}

/// The program that commands without a name are about: the first one that is deployed.
fn first(config: &Config) -> String {
    let first = config.services().next().or(config.applications.first());
    first.map(|app| app.name.clone()).unwrap_or_default()
}

/// What is around the programs.
fn surroundings(config: &Config) -> Value {
    let database_servers: Vec<_> = config.storage.iter().filter(|store| *store != "sqlite").cloned().collect();
    let programs = config.applications.iter().filter(|app| !app.artifacts.is_empty());
    let packages: Vec<_> =
        programs.map(|app| context! { name => app.name.clone(), formats => app.artifacts.clone() }).collect();
    context! { dev_stand => config.main.dev_stand, database_servers => database_servers, packaged => packages, chart => config.has_chart(),
    dashboards => config.has_dashboards() }
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
        let servers = config.rest.iter().filter(|rest| rest.generator_type != RestKind::OpenapiClient);
        let channels = config.grpc.iter().filter(|grpc| grpc.generator_type != GrpcKind::ProtoClient);
        let configured = servers.map(|rest| rest.port).chain(channels.map(|grpc| grpc.port));
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

/// The ports of a program on a developer's machine.
pub(super) struct ProgramPorts {
    /// Of its REST server.
    pub(super) rest: Option<u16>,
    /// Of its gRPC server.
    pub(super) grpc: Option<u16>,
    /// Of metrics and health; a command line has none.
    pub(super) sys: Option<u16>,
}

/// The ports of all programs.
pub(super) fn ports(config: &Config) -> Vec<ProgramPorts> {
    let mut ports = Ports::new(config);
    let of = |app: &Application| ProgramPorts {
        rest: config.rest_of(app).map(|rest| ports.of_server(rest.port)),
        grpc: config.grpc_of(app).map(|grpc| ports.of_server(grpc.port)),
        sys: app.cli.is_none().then(|| ports.next(9_090)),
    };
    config.applications.iter().map(of).collect()
}

/// What the README and the Makefile have of an application.
fn application_row(config: &Config, app: &Application, ports: &ProgramPorts) -> Value {
    if let Some(cli) = config.cli_of(app) {
        // It stores, and does not publish.
        return context! { name => app.name.clone(), servers => format!("the commands of `{}`", cli.path), variables => "",
        features => "$(STORE:%=--features %)", arguments => "$(ARGS)" };
    }
    let servers = [("HTTP", "SERVER_PORT", ports.rest), ("gRPC", "GRPC_PORT", ports.grpc)].into_iter();
    let servers: Vec<_> = servers.chain([("metrics and health", "PROMETHEUS_PORT", ports.sys)]).collect();
    let text = |of: fn(&str, &str, u16) -> String| -> Vec<_> {
        servers.iter().filter_map(|(what, variable, port)| Some(of(what, variable, (*port)?))).collect()
    };
    let variables = text(|_, variable, port| format!("{variable}={port}"));
    let servers = text(|what, _, port| format!("{what} on {port}"));
    context! { name => app.name.clone(), servers => servers.join(", "), variables => variables.join(" "),
    features => "$(SERVERS:%=--features %)", arguments => "serve $(ARGS)" }
}

/// Of the files of an application.
pub(super) fn application(config: &Config, contracts: &Contracts, app: &Application) -> Value {
    let (server, rpc) = (config.rest_of(app), config.grpc_of(app));
    let proto = rpc.filter(|grpc| grpc.generator_type == GrpcKind::Proto);
    let grpc = rpc.is_some() && proto.is_none();
    let api = server.filter(|rest| rest.generator_type == RestKind::Openapi);
    let rest = server.is_some() && api.is_none();
    let uses = [(server.is_some(), ".and(Uses::HTTP)"), (rpc.is_some(), ".and(Uses::GRPC)")];
    let has_live = config.main.live_settings && app.cli.is_none();
    let others = [(config.has_objects(app), ".and(Uses::OBJECTS)"), (has_live, ".and(Uses::LIVE)")];
    let uses = uses.into_iter().chain(others);
    let uses: String = uses.filter(|(used, _)| *used).map(|(_, text)| text).collect();
    let cli = config
        .cli_of(app)
        .and_then(|cli| Some(commands::command_line(config, cli, contracts.commands.get(&cli.name)?)));
    let consumers: Vec<_> = config.kafka_of(app, KafkaKind::Consumer).collect();
    let groups = consumers.iter().map(|kafka| &kafka.name);
    let groups = groups.chain(config.workers_of(app, WorkerKind::Queue).map(|worker| &worker.name));
    let groups: Vec<_> = groups.map(|name| format!("\"{}.{name}\"", app.name)).collect();
    let row = |name: &String| context! { name => name, module => ident(name), Name => pascal(name) };
    let of_kind = |kind| config.workers_of(app, kind).map(|worker| row(&worker.name)).collect::<Vec<_>>();
    let mut modules: Vec<_> =
        consumers.iter().map(|kafka| &kafka.name).chain(&app.worker).map(|name| ident(name)).collect();
    modules.sort();
    // An API has the operations of its own; the others are those of the entity.
    let has_entity = rest || rpc.is_some() || !modules.is_empty();
    let channels: Vec<_> = config.channels_of(app).into_iter().map(|grpc| channel(grpc, contracts)).collect();
    let found = proto.and_then(|grpc| contracts.protos.get(&grpc.name));
    let services = found.map(|proto| proto.services.iter().map(|found| service(proto, found)).collect::<Vec<_>>());
    let proto = context! { proto => proto.map(|grpc| row(&grpc.name)), services => services.unwrap_or_default(),
    any_channel => !channels.is_empty(), channels => channels, rpc => rpc.is_some() };
    let clients = config.clients_of(app).into_iter().map(|rest| &rest.name).map(row).collect::<Vec<_>>();
    let (paths, routes) = api.and_then(|rest| contracts.apis.get(&rest.name)).map(routes).unwrap_or_default();
    let consumer = |kafka: &&Kafka| {
        let topic = if kafka.events.is_empty() {
            "TOPIC".to_owned()
        } else {
            format!("{:?}", kafka.topic.as_deref().unwrap_or_default())
        };
        context! { topic => topic, ..row(&kafka.name) }
    };
    let produced: Vec<_> = config.kafka_of(app, KafkaKind::Producer).collect();
    let events: Vec<_> = produced.iter().flat_map(|kafka| typed_events(kafka, contracts)).collect();
    let proto = context! { producers => produced.iter().map(|kafka| row(&kafka.name)).collect::<Vec<_>>(), produced => events,
    entity_consumers => consumers.iter().any(|kafka| kafka.events.is_empty()), ..proto };
    let api = context! { api_paths => paths, api_routes => routes, api => api.map(|rest| row(&rest.name)), http => server.is_some(), clients => clients,
    service => if api.is_some() || !config.channels_of(app).is_empty() || !app.driver.is_empty() { "self.service" } else { "self.0" }, has_entity => has_entity };
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), about => about(config), cli => cli, live_name => server.filter(|_| has_live).map(|rest| rest.name.clone()),
    app => app.name.clone(), app_ident => ident(&app.name), rest => rest, grpc => grpc, transports => server.is_some() || rpc.is_some() || app.cli.is_some(),
    uses => uses, groups => groups.join(", "), modules => modules,
    consumers => consumers.iter().map(consumer).collect::<Vec<_>>(), schedules => of_kind(WorkerKind::Schedule),
    daemons => of_kind(WorkerKind::Daemon), store => config.storage[0].clone(), stores => config.storage.clone(), ..context! { ..context! { ..api, ..proto }, ..workers::of_application(config, contracts, app) } }
}

/// The paths of an API in the order of its document as JSON, and every route with parameters filled in.
fn routes(api: &Api) -> (Vec<String>, Vec<Value>) {
    let paths: BTreeSet<_> = api.operations.iter().map(|operation| operation.path.clone()).collect();
    let filled = |operation: &Operation| {
        let path = format!("{}{}", api.prefix, operation.path);
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
        context! { method => operation.method.to_uppercase(), path => segments.collect::<Vec<_>>().join("/") }
    };
    (paths.into_iter().collect(), api.operations.iter().map(filled).collect())
}

/// Of the module of the domain that implements the operations of a document.
pub(super) fn implementation(config: &Config, rest: &Rest, api: &Api) -> Value {
    let clients = config.clients_of_server(&rest.name);
    let row = |rest: &&Rest| context! { module => ident(&rest.name) };
    let producer = |kafka: &Kafka| context! { name => kafka.name.clone(), module => ident(&kafka.name), Name => pascal(&kafka.name) };
    let producers: Vec<_> = config.producers_of_server(&rest.name).into_iter().map(producer).collect();
    let queue = |name: &String| context! { name => name, module => ident(name), Name => pascal(name) };
    let adds = config.application_with(&rest.name).map(|app| app.queue.iter().map(queue).collect::<Vec<_>>());
    let method = |operation: &Operation| {
        context! { id => operation.id.clone(), signature => operations::signature(operation, "_request") }
    };
    let schemes: Vec<_> = api.schemes.iter().map(|scheme| operations::authenticate(&scheme.ident)).collect();
    context! { ident => ident(&config.main.name), module => ident(&rest.name), Name => pascal(&rest.name),
    path => rest.path.clone(), clients => clients.iter().map(row).collect::<Vec<_>>(), producers => producers, adds => adds.unwrap_or_default(), schemes => schemes,
    methods => api.operations.iter().map(method).collect::<Vec<_>>(), names => operations::names(api).join(", ") }
}

/// Of the module of a consumer or producer of events with schemas.
pub(super) fn typed(config: &Config, kafka: &Kafka, contracts: &Contracts) -> Value {
    let sets: BTreeSet<_> = kafka.events.iter().filter_map(|event| event.schema.split('.').next()).map(ident).collect();
    context! { ident => ident(&config.main.name), name => kafka.name.clone(), module => ident(&kafka.name),
    Name => pascal(&kafka.name), sets => sets.into_iter().collect::<Vec<_>>(), events => typed_events(kafka, contracts) }
}

/// The events of a consumer or producer, with the types of their data.
fn typed_events(kafka: &Kafka, contracts: &Contracts) -> Vec<Value> {
    let found = kafka.events.iter().filter_map(|event| {
        contracts.events.iter().find(|known| format!("{}.{}", known.set, known.id) == event.schema)
    });
    let row = |event: &TypedEvent| {
        let ty = event.schema.types.first().map(|data| data.name.clone());
        context! { name => event.name.clone(), set => ident(&event.set), module => ident(&event.id),
        fn => snake(&event.id), ty => ty }
    };
    found.map(row).collect()
}

/// Of the module of the transport that implements the services of a protobuf file.
pub(super) fn services(config: &Config, grpc: &Grpc, proto: &Proto, contracts: &Contracts) -> Value {
    let channels: Vec<_> =
        config.channels_of_server(&grpc.name).into_iter().map(|grpc| channel(grpc, contracts)).collect();
    let services: Vec<_> = proto.services.iter().map(|found| service(proto, found)).collect();
    let has = |is_such: fn(&Method) -> bool| proto.services.iter().flat_map(|found| &found.methods).any(is_such);
    context! { ident => ident(&config.main.name), module => ident(&grpc.name), Name => pascal(&grpc.name),
    path => grpc.path.clone(), channels => channels, services => services,
    sends_streams => has(|method| method.is_server_streaming), gets_streams => has(|method| method.is_client_streaming) }
}

/// A service: its trait, and its methods as code in the crate that names the generated one by itself.
fn service(proto: &Proto, found: &Service) -> Value {
    let package = proto.package.split('.').map(ident).collect::<Vec<_>>().join("::");
    let module = snake(&found.name).unwrap_or_default();
    let path = |name: &str| if name == "()" { name.to_owned() } else { format!("proto::{name}") };
    let is_unary = |method: &Method| !method.is_client_streaming && !method.is_server_streaming && method.input != "()";
    let method = |method: &Method| {
        let stream = format!("{}Stream", method.name);
        let output = if method.is_server_streaming { format!("Self::{stream}") } else { path(&method.output) };
        let input = path(&method.input);
        let input = if method.is_client_streaming { format!("Streaming<{input}>") } else { input };
        context! { name => method.name.clone(), fn => method.ident.clone(), input => input, output => output,
        stream => method.is_server_streaming.then_some(stream), item => path(&method.output),
        default => format!("{}::default()", path(&method.input)),
        is_unary => is_unary(method) }
    };
    context! { has_unary => found.methods.iter().any(is_unary), name => found.name.clone(), server => format!("{package}::{module}_server"),
    client => format!("{package}::{module}_client"), methods => found.methods.iter().map(method).collect::<Vec<_>>() }
}

/// A gRPC client: the field, and the type of the generated client.
fn channel(grpc: &Grpc, contracts: &Contracts) -> Value {
    let found = contracts.protos.get(&grpc.name).and_then(|proto| Some((proto, proto.services.first()?)));
    let service = found.map(|(proto, found)| service(proto, found));
    context! { name => grpc.name.clone(), module => ident(&grpc.name), service => service }
}

/// Modules for packages such as `billing.v1`, which are those that generated code names.
fn modules_of_packages(packages: &BTreeSet<String>) -> String {
    let rests: Vec<_> = packages.iter().map(String::as_str).collect();
    package_modules("", &rests)
}

/// The modules below a package, given what follows its name in the names of packages.
fn package_modules(parent: &str, rests: &[&str]) -> String {
    let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rest in rests.iter().filter(|rest| !rest.is_empty()) {
        let (first, rest) = rest.split_once('.').unwrap_or((rest, ""));
        below.entry(first).or_default().push(rest);
    }
    let module = |(name, rests): (&str, Vec<&str>)| {
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        let own = if rests.contains(&"") { format!("tonic::include_proto!(\"{path}\");\n\n") } else { String::new() };
        let inner = package_modules(&path, &rests);
        let body = [own, inner].concat();
        format!("/// The package `{path}`.\npub mod {name} {{\n{}\n}}\n\n", body.trim_end())
    };
    below.into_iter().map(module).collect()
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
