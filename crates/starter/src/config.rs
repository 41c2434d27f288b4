//! A valid `kennel.yaml`. The keys are documented in [`spec`](crate::spec).

mod surroundings;

use serde::Deserialize;

pub use surroundings::{Datasource, Deploy, Grafana, Packaging};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The project.
    pub main: Main,
    /// Where the platform crates are.
    pub platform: Platform,
    /// What the project stores and serves.
    pub entity: Entity,
    /// The stores, the default one first.
    #[serde(default = "default_storage")]
    pub storage: Vec<String>,
    /// REST servers and clients.
    #[serde(default)]
    pub rest: Vec<Rest>,
    /// gRPC servers and clients.
    #[serde(default)]
    pub grpc: Vec<Grpc>,
    /// Consumers and producers.
    #[serde(default)]
    pub kafka: Vec<Kafka>,
    /// Command lines.
    #[serde(default)]
    pub cli: Vec<Cli>,
    /// Schemas of events.
    #[serde(default)]
    pub jsonschema: Vec<SchemaSet>,
    /// Background work.
    #[serde(default)]
    pub worker: Vec<Worker>,
    /// Connections to something else.
    #[serde(default)]
    pub driver: Vec<Driver>,
    /// The programs.
    pub applications: Vec<Application>,
    /// Dashboards and alerts.
    pub grafana: Option<Grafana>,
    /// How it is deployed.
    pub deploy: Option<Deploy>,
    /// What its packages have in common.
    pub packaging: Option<Packaging>,
    /// What is run once files are written.
    #[serde(default)]
    pub post_generate: Vec<String>,
}

fn default_storage() -> Vec<String> {
    vec!["sqlite".to_owned()]
}

/// The project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Main {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: Option<String>,
    /// Whether there are settings that change without a restart.
    #[serde(default)]
    pub live_settings: bool,
    /// CI providers.
    #[serde(default)]
    pub ci: Vec<String>,
    /// Whether it has containers of servers and telemetry.
    #[serde(default)]
    pub dev_stand: bool,
}

/// Where the platform crates are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// A clone.
    pub path: Option<String>,
    /// The URL of a repository.
    pub git: Option<String>,
    /// The commit of the repository.
    pub rev: Option<String>,
    /// In the workspace around the project.
    #[serde(default)]
    pub workspace: bool,
}

/// What the project stores and serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Name of one.
    pub name: String,
    plural: Option<String>,
}

impl Entity {
    /// Name of several.
    pub fn plural(&self) -> String {
        self.plural.clone().unwrap_or_else(|| format!("{}s", self.name))
    }
}

/// A REST server or client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Its name.
    pub name: String,
    /// What it is made from.
    #[serde(default)]
    pub generator_type: RestKind,
    /// The OpenAPI document.
    pub path: Option<String>,
    /// The port of a server on a developer's machine.
    #[serde(default = "default_rest_port")]
    pub port: u16,
    /// How a client authenticates.
    pub auth_params: Option<Auth>,
}

/// What a REST server or client is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestKind {
    /// A server for the entity.
    #[default]
    Entity,
    /// A server for an OpenAPI document.
    Openapi,
    /// A client for an OpenAPI document.
    OpenapiClient,
}

/// How a client authenticates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// There is only one.
    #[serde(rename = "transport")]
    _transport: String,
    /// `apikey` or `bearer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The header of a key.
    #[serde(default = "default_key_header")]
    pub name: String,
}

fn default_key_header() -> String {
    "X-API-Key".to_owned()
}

fn default_rest_port() -> u16 {
    8080
}

/// A gRPC server or client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Its name.
    pub name: String,
    /// What it is made from.
    #[serde(default)]
    pub generator_type: GrpcKind,
    /// The protobuf file.
    pub path: Option<String>,
    /// The port of a server on a developer's machine.
    #[serde(default = "default_grpc_port")]
    pub port: u16,
}

/// What a gRPC server or client is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrpcKind {
    /// A server for the entity.
    #[default]
    Entity,
    /// A server for the services of a protobuf file.
    Proto,
    /// A client for the service of a protobuf file.
    ProtoClient,
}

fn default_grpc_port() -> u16 {
    50_051
}

/// A consumer or producer of events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: KafkaKind,
    /// The topic of `events`.
    pub topic: Option<String>,
    /// The events, if they are not those of the entity.
    #[serde(default)]
    pub events: Vec<EventReference>,
}

/// What a [`Kafka`] entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaKind {
    /// It handles events.
    Consumer,
    /// It publishes events.
    Producer,
}

/// An event with its schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventReference {
    /// The type of the event.
    pub name: String,
    /// The name of a set and the id of a schema.
    pub schema: String,
}

/// A command line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cli {
    /// Its name.
    pub name: String,
    /// The file of its commands.
    pub path: String,
}

/// A set of JSON Schemas.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaSet {
    /// Its name.
    pub name: String,
    /// The schemas.
    pub schemas: Vec<SchemaFile>,
}

/// A JSON Schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaFile {
    /// Its id in the set.
    pub id: String,
    /// The file.
    pub path: String,
    /// The property by which events are ordered.
    pub key: String,
}

/// Background work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// What it does.
    pub generator_type: WorkerKind,
    /// The file of the tasks of a queue.
    pub path: Option<String>,
    /// How often, such as `5m`.
    #[serde(default = "default_interval")]
    pub interval: String,
}

/// What a [`Worker`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKind {
    /// A job at an interval.
    Schedule,
    /// A loop.
    Daemon,
    /// It runs tasks.
    Queue,
    /// A bot.
    Telegram,
}

/// A connection to something else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// What it is connected to.
    pub generator_type: DriverKind,
}

/// What a [`Driver`] is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverKind {
    /// An object store.
    S3,
    /// A bot that sends.
    Telegram,
    /// Something of the user.
    Custom,
}

fn default_interval() -> String {
    "1h".to_owned()
}

/// A program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its name.
    pub name: String,
    #[serde(default)]
    transport: Vec<Reference>,
    /// Names of consumers and producers.
    #[serde(default)]
    pub kafka: Vec<String>,
    /// Names of background work.
    #[serde(default)]
    pub worker: Vec<String>,
    /// Names of queues to which it adds tasks.
    #[serde(default)]
    pub queue: Vec<String>,
    /// Names of its drivers.
    #[serde(default)]
    pub driver: Vec<String>,
    /// The command line that it is.
    pub cli: Option<String>,
    /// The formats of its packages.
    #[serde(default)]
    pub artifacts: Vec<String>,
}

impl Application {
    /// Whether it has a transport of this name.
    pub fn uses(&self, transport: &str) -> bool {
        self.transport.iter().any(|used| used.name == transport)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    name: String,
}

impl Config {
    /// Whether the project has a Helm chart.
    pub fn has_chart(&self) -> bool {
        self.deploy.as_ref().is_some_and(|deploy| deploy.helm)
    }

    /// Whether the project has dashboards and alerts.
    pub fn has_dashboards(&self) -> bool {
        self.grafana.is_some() || self.main.dev_stand
    }

    /// The applications that are deployed: all but command lines, which somebody starts.
    pub fn services(&self) -> impl Iterator<Item = &Application> {
        self.applications.iter().filter(|app| app.cli.is_none())
    }

    /// The REST server of an application.
    pub fn rest_of(&self, application: &Application) -> Option<&Rest> {
        self.rest.iter().find(|rest| rest.generator_type != RestKind::OpenapiClient && application.uses(&rest.name))
    }

    /// The command line that an application is.
    pub fn cli_of(&self, application: &Application) -> Option<&Cli> {
        self.cli.iter().find(|cli| application.cli.as_ref() == Some(&cli.name))
    }

    /// The background work of a kind.
    pub fn worker_kind(&self, kind: WorkerKind) -> impl Iterator<Item = &Worker> {
        self.worker.iter().filter(move |worker| worker.generator_type == kind)
    }

    /// The background work of a kind that an application runs.
    pub fn workers_of<'c>(&'c self, app: &'c Application, kind: WorkerKind) -> impl Iterator<Item = &'c Worker> {
        self.worker_kind(kind).filter(|worker| app.worker.contains(&worker.name))
    }

    /// The drivers of an application.
    pub fn drivers_of<'c>(&'c self, app: &'c Application) -> impl Iterator<Item = &'c Driver> {
        self.driver.iter().filter(|driver| app.driver.contains(&driver.name))
    }

    /// Whether applications can be built with S3.
    pub fn has_s3(&self) -> bool {
        self.driver.iter().any(|driver| driver.generator_type == DriverKind::S3)
    }

    /// Whether an application has an object store.
    pub fn has_objects(&self, app: &Application) -> bool {
        self.drivers_of(app).any(|driver| driver.generator_type == DriverKind::S3)
    }

    /// The names of the Telegram bots of an application: those that it runs, and those that send for it.
    pub fn bots_of<'c>(&'c self, app: &'c Application) -> impl Iterator<Item = &'c str> {
        let drivers = self.drivers_of(app).filter(|driver| driver.generator_type == DriverKind::Telegram);
        let workers = self.workers_of(app, WorkerKind::Telegram).map(|worker| &*worker.name);
        workers.chain(drivers.map(|driver| &*driver.name))
    }

    /// Whether an application has settings of its own: those of what it calls.
    pub fn has_settings(&self, app: &Application) -> bool {
        self.bots_of(app).next().is_some() || !self.clients_of(app).is_empty() || !self.channels_of(app).is_empty()
    }

    /// The application whose clients, producers and queues the implementation of a server or of commands has: they are the same for
    /// all with this server.
    pub fn application_with(&self, transport: &str) -> Option<&Application> {
        self.applications.iter().find(|app| app.uses(transport) || app.cli.as_deref() == Some(transport))
    }

    /// The REST servers or clients of a kind.
    pub fn rest_kind(&self, kind: RestKind) -> impl Iterator<Item = &Rest> {
        self.rest.iter().filter(move |rest| rest.generator_type == kind)
    }

    /// The REST clients of an application.
    pub fn clients_of(&self, application: &Application) -> Vec<&Rest> {
        self.rest_kind(RestKind::OpenapiClient).filter(|rest| application.uses(&rest.name)).collect()
    }

    /// The REST clients that the implementation of a server has: those of its applications, which are the same for all.
    pub fn clients_of_server(&self, server: &str) -> Vec<&Rest> {
        self.application_with(server).map(|application| self.clients_of(application)).unwrap_or_default()
    }

    /// The documents that the configuration refers to, by their paths in the project.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        let rest = self.rest.iter().filter_map(|rest| rest.path.as_deref());
        let grpc = self.grpc.iter().filter_map(|grpc| grpc.path.as_deref());
        let schemas = self.jsonschema.iter().flat_map(|set| &set.schemas).map(|schema| schema.path.as_str());
        let commands = self.cli.iter().map(|cli| cli.path.as_str());
        let tasks = self.worker.iter().filter_map(|worker| worker.path.as_deref());
        rest.chain(grpc).chain(schemas).chain(commands).chain(tasks)
    }

    /// The gRPC server of an application.
    pub fn grpc_of(&self, application: &Application) -> Option<&Grpc> {
        self.grpc.iter().find(|grpc| grpc.generator_type != GrpcKind::ProtoClient && application.uses(&grpc.name))
    }

    /// The gRPC servers or clients of a kind.
    pub fn grpc_kind(&self, kind: GrpcKind) -> impl Iterator<Item = &Grpc> {
        self.grpc.iter().filter(move |grpc| grpc.generator_type == kind)
    }

    /// The gRPC clients of an application.
    pub fn channels_of(&self, application: &Application) -> Vec<&Grpc> {
        self.grpc_kind(GrpcKind::ProtoClient).filter(|grpc| application.uses(&grpc.name)).collect()
    }

    /// The gRPC clients that the implementation of a server has: those of its applications, which are the same for all.
    pub fn channels_of_server(&self, server: &str) -> Vec<&Grpc> {
        self.application_with(server).map(|application| self.channels_of(application)).unwrap_or_default()
    }

    /// The name and the topic of the event with a schema.
    pub fn event_of(&self, schema: &str) -> Option<(&str, &str)> {
        let events = self.kafka.iter().flat_map(|kafka| kafka.events.iter().map(move |event| (kafka, event)));
        let (kafka, event) = events.into_iter().find(|(_, event)| event.schema == schema)?;
        Some((&event.name, kafka.topic.as_deref().unwrap_or_default()))
    }

    /// The consumers or producers of an application.
    pub fn kafka_of<'c>(&'c self, application: &'c Application, kind: KafkaKind) -> impl Iterator<Item = &'c Kafka> {
        let used = application.kafka.iter().filter_map(|name| self.kafka.iter().find(|kafka| kafka.name == *name));
        used.filter(move |kafka| kafka.kind == kind)
    }

    /// The producers that the implementation of a server has: those of its applications, which are the same for all.
    pub fn producers_of_server(&self, server: &str) -> Vec<&Kafka> {
        let found = self.application_with(server);
        found.map(|found| self.kafka_of(found, KafkaKind::Producer).collect()).unwrap_or_default()
    }

    /// Whether a store can be built in.
    pub fn has_store(&self, store: &str) -> bool {
        self.storage.iter().any(|name| name == store)
    }
}
