//! A valid `kennel.yaml`. The keys are documented in [`spec`](crate::spec).

use serde::Deserialize;

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
    /// REST servers.
    #[serde(default)]
    pub rest: Vec<Server>,
    /// gRPC servers.
    #[serde(default)]
    pub grpc: Vec<GrpcServer>,
    /// Consumers.
    #[serde(default)]
    pub kafka: Vec<Consumer>,
    /// Background work.
    #[serde(default)]
    pub worker: Vec<Worker>,
    /// The programs.
    pub applications: Vec<Application>,
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
    /// CI providers.
    #[serde(default)]
    pub ci: Vec<String>,
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

/// A REST server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its port on a developer's machine.
    #[serde(default = "default_rest_port")]
    pub port: u16,
    /// There is only one kind.
    #[serde(default, rename = "generator_type")]
    _generator_type: String,
}

fn default_rest_port() -> u16 {
    8080
}

/// A gRPC server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcServer {
    /// Its name.
    pub name: String,
    /// Its port on a developer's machine.
    #[serde(default = "default_grpc_port")]
    pub port: u16,
    /// There is only one kind.
    #[serde(default, rename = "generator_type")]
    _generator_type: String,
}

fn default_grpc_port() -> u16 {
    50_051
}

/// A consumer of the entity's events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// There is only one kind.
    #[serde(rename = "type")]
    _type: String,
}

/// Background work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// `schedule` or `daemon`.
    pub generator_type: String,
    /// How often, such as `5m`.
    #[serde(default = "default_interval")]
    pub interval: String,
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
    /// Names of consumers.
    #[serde(default)]
    pub kafka: Vec<String>,
    /// Names of background work.
    #[serde(default)]
    pub worker: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    name: String,
}

impl Config {
    /// The REST server of an application.
    pub fn rest_of(&self, application: &Application) -> Option<&Server> {
        self.rest.iter().find(|server| application.transport.iter().any(|used| used.name == server.name))
    }

    /// The gRPC server of an application.
    pub fn grpc_of(&self, application: &Application) -> Option<&GrpcServer> {
        self.grpc.iter().find(|server| application.transport.iter().any(|used| used.name == server.name))
    }

    /// Whether a store can be built in.
    pub fn has_store(&self, store: &str) -> bool {
        self.storage.iter().any(|name| name == store)
    }
}
